"""Packages that only some users need, imported when they are asked for."""

import importlib
from typing import Any

__all__ = ['require']


def require(package: str, what: str) -> Any:
    """An optional package or a module of one.

    Args:
        package: dotted name of what to import.
        what: what needs it, for the message.

    Raises:
        ModuleNotFoundError: it is not installed; the message says how to get it.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        name = package.partition('.')[0]
        raise ModuleNotFoundError(f'{what} needs the package {name}: pip install {name}', name=name) from error
