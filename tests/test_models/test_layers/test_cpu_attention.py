"""Gradients of attention in bfloat16 come by way of float32, in this process and for all models in it."""

import subprocess
import sys

PROGRAM = """
import torch, torch.nn.functional as F
from rc3mm.models.layers.cpu_attention import speed_up_bfloat16_attention

def gradients(dtype, causal=False):
    torch.manual_seed(0)
    given = [torch.randn(2, 3, 17, 8).to(torch.bfloat16).to(dtype).requires_grad_() for _ in range(3)]
    mask = None if causal else torch.rand(2, 1, 17, 17) > 0.3
    if mask is not None:
        mask[..., 0] = True
    out = F.scaled_dot_product_attention(*given, attn_mask=mask, is_causal=causal)
    out.square().sum().backward()
    return [tensor.grad.float() for tensor in given]

def far(found, wanted):
    return max(float((a - b).norm() / b.norm()) for a, b in zip(found, wanted))

for causal in (False, True):
    exact, before = gradients(torch.float32, causal), gradients(torch.bfloat16, causal)
    speed_up_bfloat16_attention()
    speed_up_bfloat16_attention()
    after, again = gradients(torch.bfloat16, causal), gradients(torch.float32, causal)
    assert all(torch.equal(a, b) for a, b in zip(exact, again)), 'float32 has changed'
    assert far(after, exact) < 0.02, far(after, exact)
    assert far(after, exact) < 1.2 * far(before, exact)
print('fine')
"""


def test_gradients_are_as_close_as_before() -> None:
    """In a process of its own, since it is for a whole process."""
    done = subprocess.run([sys.executable, '-W', 'error', '-c', PROGRAM], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == 'fine', done.stderr[-1500:]
