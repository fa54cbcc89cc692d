"""Few parameter groups instead of one a parameter: learning rates by part and by layer, decay where it belongs."""

import re
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn

from rc3mm.registry import OPTIM_WRAPPER_CONSTRUCTORS

__all__ = ['GroupedOptimWrapperConstructor', 'learning_rate_factor']

_LAYER = re.compile(r'(?:^|\.)(?:layer|layers|blocks)\.(\d+)\.')


def learning_rate_factor(
    name: str, lr_mult: Mapping[str, float], layer_decay: Mapping[str, float], depths: Mapping[str, int]
) -> float:
    """The factor of a parameter's learning rate.

    Args:
        name: parameter name.
        lr_mult: prefix -> factor; the longest matching prefix counts.
        layer_decay: prefix -> d; the topmost layer under the prefix keeps its rate, each layer below has d times the
            one above, embeddings below all layers (ELECTRA, BEiT).
        depths: prefix -> number of layers found under it.

    Returns:
        The product of both.
    """
    matching = [prefix for prefix in lr_mult if name.startswith(prefix)]
    factor = lr_mult[max(matching, key=len)] if matching else 1.0
    for prefix, decay in layer_decay.items():
        if name.startswith(prefix):
            found = _LAYER.search(name)
            if found:
                factor *= decay ** (depths[prefix] - 1 - int(found.group(1)))
            elif 'embed' in name or 'cls_token' in name:
                factor *= decay ** depths[prefix]
    return factor


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GroupedOptimWrapperConstructor:
    """Builds the optimiser with one group for each distinct (learning rate, weight decay).

    Biases, norms, embeddings of a single vector and other parameters of fewer than two dimensions are not decayed. A
    factor of 0 freezes parameters.

    Args:
        optim_wrapper_cfg: `type`, `optimizer` and the wrapper's own arguments.
        paramwise_cfg: `lr_mult` (prefix -> factor) and `layer_decay` (prefix -> factor a layer), see
            `learning_rate_factor`.

    Raises:
        ValueError: an unknown key in `paramwise_cfg`, or a prefix that no parameter has.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        self.optim_wrapper_cfg = dict(optim_wrapper_cfg)
        self.optimizer_cfg = dict(self.optim_wrapper_cfg.pop('optimizer'))
        paramwise_cfg = dict(paramwise_cfg or {})
        self.lr_mult: dict[str, float] = dict(paramwise_cfg.pop('lr_mult', {}))
        self.layer_decay: dict[str, float] = dict(paramwise_cfg.pop('layer_decay', {}))
        if paramwise_cfg:
            raise ValueError(f'paramwise_cfg knows lr_mult and layer_decay, not {sorted(paramwise_cfg)}')

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the wrapper for a model (wrapped for data parallelism or not)."""
        parameters = [(name.removeprefix('module.'), p) for name, p in model.named_parameters() if p.requires_grad]
        for prefix in (*self.lr_mult, *self.layer_decay):
            if not any(name.startswith(prefix) for name, _ in parameters):
                raise ValueError(f'paramwise_cfg: no parameter starts with "{prefix}"')
        depths = {}
        for prefix in self.layer_decay:
            layers = [
                int(m.group(1)) for name, _ in parameters if name.startswith(prefix) and (m := _LAYER.search(name))
            ]
            depths[prefix] = max(layers, default=-1) + 1
        groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
        for name, parameter in parameters:
            factor = learning_rate_factor(name, self.lr_mult, self.layer_decay, depths)
            if factor == 0:
                parameter.requires_grad_(False)  # no gradient is computed that nothing would use
                continue
            groups.setdefault((factor, parameter.ndim >= 2), []).append(parameter)
        lr, decay = self.optimizer_cfg['lr'], self.optimizer_cfg.get('weight_decay', 0.0)
        param_groups: list[dict[str, Any]] = []
        for (factor, decayed), members in sorted(groups.items(), key=lambda item: item[0], reverse=True):
            param_groups.append({'params': members, 'lr': lr * factor, 'weight_decay': decay if decayed else 0.0})
            count = sum(p.numel() for p in members)
            print_log(
                f'parameter group: {count:,} parameters, lr {lr * factor:.3g}, decay {decay if decayed else 0:g}',
                logger='current',
            )
        optimizer = OPTIMIZERS.build({**self.optimizer_cfg, 'params': param_groups})
        return OPTIM_WRAPPERS.build(self.optim_wrapper_cfg, default_args={'optimizer': optimizer})
