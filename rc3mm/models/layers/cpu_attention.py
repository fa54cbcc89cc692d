"""The backward pass of attention on CPUs, in bfloat16."""

import torch
from torch import Tensor

__all__ = ['speed_up_bfloat16_attention']

_NAME = '_scaled_dot_product_flash_attention_for_cpu_backward'
_library: torch.library.Library | None = None


def speed_up_bfloat16_attention() -> None:
    """Have gradients of `scaled_dot_product_attention` in bfloat16 on CPUs computed in float32, for the whole process.

    PyTorch's kernel for them (2.14) takes two to eight times as long in bfloat16 as in float32, and the attention of a
    ViT, a text encoder and a fusion head alike goes through it. The result is rounded to bfloat16, as its own is.
    """
    global _library
    if _library is not None:
        return
    kernel = torch.library.get_kernel(f'aten::{_NAME}', 'CPU')
    keys = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)

    def backward(
        grad_out: Tensor,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        out: Tensor,
        logsumexp: Tensor,
        dropout_p: float,
        is_causal: bool,
        *,
        attn_mask: Tensor | None = None,
        scale: float | None = None,
    ) -> tuple[Tensor, ...]:
        dtype = query.dtype
        given = (grad_out, query, key, value, out)
        if dtype is torch.bfloat16:
            given = tuple(tensor.float() for tensor in given)  # type: ignore[assignment]
            attn_mask = None if attn_mask is None else attn_mask.float()
        found = kernel.call_boxed(keys, *given, logsumexp, dropout_p, is_causal, attn_mask=attn_mask, scale=scale)
        return tuple(gradient.to(dtype) for gradient in found)

    _library = torch.library.Library('aten', 'IMPL')
    _library.impl(_NAME, backward, 'CPU', allow_override=True)
