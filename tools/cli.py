"""What the command lines of train.py and test.py share: arguments, config overrides, errors of one line."""

import argparse
import difflib
import inspect
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from rc3mm.utils.checkpoint import UnsafeCheckpointError, read_checkpoint
from rc3mm.utils.shards import check_shards

__all__ = [
    'CommandLineError',
    'add_common_arguments',
    'apply_options',
    'check_checkpoint',
    'check_launcher',
    'in_one_line',
    'load_config',
    'run_main',
]

# Top-level entries that do something; others (`max_iters`, `world`) are used up when the config file is read.
_LIVE = {name for name in inspect.signature(Runner.__init__).parameters if name not in ('self', 'cfg')} | {
    'runner_type',
    'required_files',
    'roi_extractor',
    'test_after_train',
    'model_wrapper_cfg',
    'strategy',
    'compile',
    'activation_checkpointing',
    'efficient_conv_bn_eval',
}


class CommandLineError(ValueError):
    """The command line asks for something that cannot be done; the message says what to write instead."""


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that every script with a config has."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        default=[],
        metavar='KEY=VALUE',
        help='override entries of the config: a.b=1, items of lists by number (param_scheduler.1.end=500), lists '
        '"[1,2]"; an unknown key or a value of another type is an error, +a.b=1 adds a new key',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how processes were started',
    )
    parser.add_argument('--local-rank', '--local_rank', type=int, default=0, help='set by launchers; leave it alone')


def run_main(main: Any) -> None:
    """Run a script's main function; what the user got wrong ends it with one line and exit code 2."""
    try:
        main()
    except CommandLineError as error:
        exit_with(str(error))


@contextmanager
def in_one_line(*kinds: type[Exception]) -> Iterator[None]:
    """Have errors told in one line; a block to put around what reads the user's files, or a decorator.

    Args:
        kinds: errors whose message says all there is to say; ValueError, OSError and ImportError by default.

    Raises:
        CommandLineError: in the place of these errors.
    """
    told = kinds or (ValueError, OSError, ImportError)
    try:
        yield
    except CommandLineError:
        raise
    except told as error:
        raise CommandLineError(' '.join(str(error).split())) from error


def exit_with(message: str) -> NoReturn:
    """One line on stderr, exit code 2."""
    print(f'error: {message}', file=sys.stderr)
    raise SystemExit(2)


def load_config(args: argparse.Namespace) -> Config:
    """The config with `--cfg-options` and the launcher applied; `work_dir` falls back to work_dirs/<stem>.

    Raises:
        CommandLineError: no such file, an override that does not fit, or a launcher that was not named.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    check_launcher(args.launcher)
    path = Path(args.config)
    if not path.is_file():
        near = difflib.get_close_matches(path.name, [other.name for other in path.parent.glob('*.py')])
        hint = f'; did you mean {path.parent / near[0]}?' if near else ''
        raise CommandLineError(f'there is no config file {path}{hint}')
    cfg = Config.fromfile(path)
    apply_options(cfg, args.cfg_options)
    cfg.launcher = args.launcher
    cfg.work_dir = cfg.get('work_dir') or str(Path('work_dirs') / path.stem)
    return cfg


def check_launcher(launcher: str) -> None:
    """Make sure that processes that were started together know of each other.

    Raises:
        CommandLineError: there are several, and no launcher is named.
    """
    if launcher == 'none' and int(os.environ.get('WORLD_SIZE') or 1) > 1:
        raise CommandLineError('several processes were started without --launcher; add `--launcher pytorch`')


def check_checkpoint(path: str) -> None:
    """Fail early, and before anything in the file could run.

    Raises:
        CommandLineError: the file is missing, cut short, or holds more than tensors and plain containers.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # torch remarks on strange pickles, where our one line says more
            checkpoint = read_checkpoint(path, whole=False)
        if 'shards' in checkpoint:  # put together later, if at all
            check_shards(checkpoint['shards'], Path(path))
    except (FileNotFoundError, UnsafeCheckpointError, ValueError) as error:
        raise CommandLineError(' '.join(str(error).split())) from error


# -- overrides


def apply_options(cfg: Config, options: Sequence[str]) -> None:
    """Override entries of a config in place, one `key=value` after the other.

    Args:
        cfg: the config.
        options: `a.b=value`, with numbers for items of lists; with a leading `+` the key may be new.

    Raises:
        CommandLineError: an unknown key, a key without effect, or a value of another type than before.
    """
    for option in options:
        key, equals, text = option.partition('=')
        if not equals or not key.lstrip('+'):
            raise CommandLineError(f'--cfg-options: "{option}" is not of the form key=value')
        force, key = key.startswith('+'), key.removeprefix('+')
        first, *rest = key.split('.')
        if first not in _LIVE and not force:
            raise CommandLineError(_no_effect(cfg, key) if first in cfg else _unknown(cfg, key, first, '', cfg))
        if rest:
            cfg[first] = _replaced(cfg, cfg.get(first, {}), first, rest, text, force)
        else:
            cfg[first] = _converted(text, cfg.get(first), key)


def _replaced(cfg: Config, node: Any, path: str, parts: list[str], text: str, force: bool) -> Any:
    """A copy of `node` with the entry under `parts` replaced.

    Copies, because parts of a config may be shared: changing one place must not change another.
    """
    part, *rest = parts
    key = f'{path}.{part}'
    if isinstance(node, list | tuple):
        if not part.isdecimal() or int(part) >= len(node) + force:
            raise CommandLineError(f'--cfg-options: {path} is a list of {len(node)} items; there is no item "{part}"')
        items: Any = [*node, {}][: max(len(node), int(part) + 1)]
        index: Any = int(part)
        old = items[index]
    elif isinstance(node, dict):
        if part not in node and not force:
            raise CommandLineError(_unknown(cfg, key, part, path, node))
        items, index, old = type(node)(node), part, node.get(part)
        old = {} if old is None and rest and force else old
    else:
        raise CommandLineError(f'--cfg-options: {path} is {node!r}, so there is no {key}')
    items[index] = _replaced(cfg, old, key, rest, text, force) if rest else _converted(text, old, key)
    return type(node)(items) if isinstance(node, tuple) else items


def _converted(text: str, old: Any, key: str) -> Any:
    """The value that `text` means where `old` stood."""
    if text == 'None':
        return None
    if isinstance(old, str) or isinstance(old, type) or callable(old):  # `type=` takes the name of a class
        return text.strip('\'"')
    try:
        value = DictAction._parse_iterable(text)
    except AssertionError as error:
        raise CommandLineError(f'--cfg-options: {key}={text}: {error}') from error
    if old is None:
        return text.strip('\'"') if isinstance(value, str) else value
    if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(old, int) and not isinstance(old, bool) and isinstance(value, float) and value.is_integer():
        return int(value)  # 1e5 iterations
    if isinstance(old, list | tuple) and isinstance(value, list | tuple):
        return type(old)(value)
    if type(value) is type(old):
        return value
    if isinstance(old, dict):
        raise CommandLineError(f'--cfg-options: {key} is a group with {_listed(old)}; override one of these instead')
    hint = f'; a list of one is written {key}="[{text}]"' if isinstance(old, list | tuple) else ''
    raise CommandLineError(
        f'--cfg-options: {key}={text} is a {type(value).__name__}, but the config has {old!r}, a '
        f'{type(old).__name__}{hint}'
    )


def _unknown(cfg: Config, key: str, part: str, path: str, node: Any) -> str:
    near = [f'{path}.{match}'.lstrip('.') for match in difflib.get_close_matches(part, [str(own) for own in node])]
    near = near or _places(cfg, key.rpartition('.')[2])
    hint = f'did you mean {" or ".join(near[:3])}?' if near else f'the keys there are {_listed(node)}.'
    return f'--cfg-options: the config has no {key}; {hint} To add a new key write +{key}=...'


def _no_effect(cfg: Config, key: str) -> str:
    near = _places(cfg, key.rpartition('.')[2])
    hint = f'; did you mean {" or ".join(near[:4])}?' if near else '; change the entries that were made from it'
    return f'--cfg-options: {key} is used up when the config file is read, so changing it has no effect{hint}'


def _places(cfg: Config, name: str) -> list[str]:
    """Keys of live entries that end in `name`."""
    return [key for first in cfg if first in _LIVE for key in _walk(cfg[first], first) if key.endswith(f'.{name}')]


def _walk(node: Any, path: str) -> Iterator[str]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for part, value in items:
        yield f'{path}.{part}'
        yield from _walk(value, f'{path}.{part}')


def _listed(node: Any, most: int = 12) -> str:
    keys = [str(key) for key in node]
    return ', '.join(keys[:most]) + (', ...' if len(keys) > most else '')
