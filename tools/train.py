"""Train a model from a config; see --help."""

import argparse
import os
from pathlib import Path

from mmengine.config import Config, DictAction

from rc3mm.registry import RUNNERS


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Train a model from a config.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=(
            'examples:\n'
            '  python tools/train.py configs/rc3/pretrain_tiny.py\n'
            '  python tools/train.py configs/rc3/pretrain_tiny.py --resume         # go on after an interruption\n'
            '  python tools/train.py configs/rc3/pretrain_tiny.py --cfg-options train_cfg.max_iters=100\n'
            '  tools/dist_train.sh configs/rc3/pretrain_base.py 8                  # eight GPUs\n'
        ),
    )
    parser.add_argument('config', help='config file, such as configs/rc3/pretrain_tiny.py')
    parser.add_argument('--work-dir', help='folder for logs and checkpoints (default: work_dirs/<config name>)')
    parser.add_argument('--amp', action='store_true', help='forward passes in bfloat16 (CPU and GPU)')
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help="scale learning rates to the batch by auto_scale_lr's base"
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='continue: from the newest checkpoint of the work dir (auto, the default) or from a given file',
    )
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate during training')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override config entries: key=value, nested a.b=value, lists "[1,2]" or 1,2',
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='how processes were started'
    )
    parser.add_argument('--local-rank', '--local_rank', type=int, default=0, help='set by launchers; leave it alone')
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main() -> None:
    """Train, then test if the config says so."""
    args = parse_args()
    cfg = load_config(args)
    runner = RUNNERS.build(cfg)
    runner.train()
    if cfg.get('test_after_train', False):
        runner.test()


def load_config(args: argparse.Namespace) -> Config:
    """The config with the command line's changes applied."""
    cfg = Config.fromfile(args.config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(args.config).stem)
    if args.amp:
        cfg.optim_wrapper.type = 'BFloat16OptimWrapper'
    if args.auto_scale_lr:
        if 'auto_scale_lr' not in cfg:
            raise SystemExit(f'--auto-scale-lr: {args.config} has no `auto_scale_lr = dict(base_batch_size=...)`')
        cfg.auto_scale_lr.enable = True
    if args.resume:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    return cfg


if __name__ == '__main__':
    main()
