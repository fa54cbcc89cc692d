"""Test a checkpoint with a config; see --help."""

import argparse
import inspect
import shutil
from pathlib import Path
from typing import Any

from cli import CommandLineError, add_common_arguments, check_checkpoint, load_config, run_main
from mmengine.config import Config

from rc3mm.registry import LOOPS, RUNNERS
from rc3mm.utils.requirements import check_required_files

_EXAMPLES = """\
examples:
  python tools/test.py configs/rc3/pretrain_tiny.py work_dirs/pretrain_tiny/iter_2000.pth
  python tools/test.py configs/rc3/pretrain_tiny.py work_dirs/pretrain_tiny/iter_2000.pth --form roi
  python tools/test.py configs/rc3/pretrain_tiny.py work_dirs/pretrain_tiny/iter_2000.pth \\
      --out results/tiny.json --out-item results/tiny.jsonl --show-dir results
  python tools/test.py configs/rc3/pretrain_tiny.py work_dirs/pretrain_tiny/iter_2000.pth \\
      --cfg-options test_dataloader.dataset.split=val test_dataloader.dataset.num_scenes=200
  tools/dist_test.sh configs/rc3/pretrain_tiny.py work_dirs/pretrain_tiny/iter_2000.pth 8   # eight processes

a table is printed; results.json, results.md, gallery.png and a log go to the work dir, by default the folder
`test` inside the training's: a test never overwrites what the training has written, only the test before it
"""


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Test a checkpoint with a config. Nothing in the checkpoint is executed.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EXAMPLES,
    )
    parser.add_argument('config', help='config file, such as configs/rc3/pretrain_tiny.py')
    parser.add_argument('checkpoint', help='.pth or .safetensors file')
    parser.add_argument('--work-dir', help='folder for results and logs (default: work_dirs/<config name>/test)')
    parser.add_argument('--out', help='write the results (JSON) to this file as well')
    parser.add_argument('--out-item', help='write one JSON line a query to this file')
    parser.add_argument('--show-dir', help='folder for pictures (default: the work dir)')
    parser.add_argument('--form', choices=['roi', 'patch', 'both'], help="visual form (default: the config's)")
    parser.add_argument('--no-rerank', action='store_true', help='rank by the towers alone, without the ITM head')
    parser.add_argument('--amp', action='store_true', help='evaluate in bfloat16 (CPU and GPU)')
    add_common_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Test."""
    args = parse_args()
    cfg = test_config(args)
    check_checkpoint(args.checkpoint)
    check_required_files(cfg, 'test')
    runner = RUNNERS.build(cfg)
    runner.test()
    if args.out and runner.rank == 0:
        Path(args.out).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(runner.work_dir) / 'results.json', args.out)


def test_config(args: argparse.Namespace) -> Config:
    """The config with the command line's changes applied."""
    cfg = load_config(args)
    cfg.work_dir = args.work_dir or str(Path(cfg.work_dir) / 'test')
    cfg.resume, cfg.load_from = False, args.checkpoint
    if args.form:
        set_loop_option(cfg, '--form', 'form', args.form)
    if args.no_rerank:
        set_loop_option(cfg, '--no-rerank', 'rerank_topk', 0)
    if args.amp:
        set_loop_option(cfg, '--amp', 'bf16', True)
    for name, value in (('out_item', args.out_item), ('show_dir', args.show_dir)):
        if value:
            report_hook(cfg)[name] = value
    return cfg


def set_loop_option(cfg: Config, flag: str, name: str, value: Any) -> None:
    """Set an option of the test loop, if that kind of loop has it."""
    kind = cfg.test_cfg.get('type', 'TestLoop')
    kind = LOOPS.get(kind) if isinstance(kind, str) else kind
    if name not in inspect.signature(kind).parameters:
        raise CommandLineError(f'{flag}: the test loop of this config, {kind.__name__}, has no option {name}')
    cfg.test_cfg[name] = value


def report_hook(cfg: Config) -> dict[str, Any]:
    """The config's ReportHook; one is added if there is none."""
    cfg.custom_hooks = list(cfg.get('custom_hooks') or [])
    for hook in cfg.custom_hooks:
        kind = hook['type']
        if (kind if isinstance(kind, str) else kind.__name__) == 'ReportHook':
            return hook
    cfg.custom_hooks.append(dict(type='ReportHook'))
    return cfg.custom_hooks[-1]


if __name__ == '__main__':
    run_main(main)
