"""The layers that a model repeats, and compiling them: each once for all, in the place of the whole model.

A whole model compiles for minutes, and anew for each combination of data source, visual forms and objectives; its
layers are few and always the same.
"""

from collections.abc import Iterator
from typing import Any

from torch import nn

__all__ = ['compile_layers', 'repeated_layers']


def repeated_layers(module: nn.Module) -> Iterator[nn.Module]:
    """The members of the outermost lists of layers of one kind, such as a transformer's blocks."""
    for child in module.children():
        kinds = {type(layer) for layer in child} if isinstance(child, nn.ModuleList | nn.Sequential) else set()
        if len(kinds) == 1 and not kinds.pop().__module__.startswith('torch.nn.'):
            yield from child.children()
        else:
            yield from repeated_layers(child)


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
