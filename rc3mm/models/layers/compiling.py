"""Regional compilation: the layers that a model repeats, each compiled once for all.

A whole model compiles for minutes and anew for each combination of data source, visual forms and objectives; its
layers are few and always the same.
"""

from collections.abc import Iterator
from typing import Any

from torch import nn

__all__ = ['compile_layers', 'repeated_layers']


def repeated_layers(module: nn.Module) -> Iterator[nn.Module]:
    """The members of every list or sequence of at least two modules of one type that have parameters."""
    for part in module.modules():
        if isinstance(part, nn.ModuleList | nn.Sequential):
            members = list(part)
            alike = len(members) > 1 and len({type(member) for member in members}) == 1
            if alike and any(True for _ in members[0].parameters()):
                yield from members


def compile_layers(module: nn.Module, **options: Any) -> int:
    """Compile the repeated layers in place; names and state dicts stay. Returns how many there are.

    Shapes are dynamic, so that batches of other lengths are not compiled anew, unless `options` say otherwise.

    Args:
        module: an encoder.
        **options: of `torch.compile`.
    """
    layers = list(repeated_layers(module))
    for layer in layers:
        layer.compile(**{'dynamic': True, **options})
    return len(layers)
