"""Train a model from a config; see --help."""

import argparse

import torch
from cli import CommandLineError, add_common_arguments, check_checkpoint, load_config, run_main
from mmengine.config import Config

from rc3mm.registry import RUNNERS
from rc3mm.utils.allocator import keep_freed_memory
from rc3mm.utils.checkpoint import find_latest_checkpoint
from rc3mm.utils.requirements import check_required_files

_EXAMPLES = """\
examples:
  python tools/train.py configs/rc3/pretrain_tiny.py
  python tools/train.py configs/rc3/pretrain_tiny.py --resume     # go on after an interruption
  python tools/train.py configs/rc3/pretrain_tiny.py --cfg-options \\
      train_cfg.max_iters=100 param_scheduler.1.end=100 optim_wrapper.optimizer.lr=5e-4
  python tools/train.py configs/rc3/pretrain_tiny.py --cfg-options +default_hooks.checkpoint.max_keep_ckpts=5
  tools/dist_train.sh configs/rc3/pretrain_tiny.py 8 --amp         # eight processes, one a GPU

the work dir holds the config, log, scalars and TensorBoard events of each start (<time>/), checkpoints
(iter_<n>.pth), losses.png and, if the config tests after training, results.json, results.md and gallery.png; tested
is the best checkpoint (best_<metric>_iter_<n>.pth) if default_hooks.checkpoint.save_best names a metric, else the last
"""


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Train a model from a config.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EXAMPLES,
    )
    parser.add_argument('config', help='config file, such as configs/rc3/pretrain_tiny.py')
    parser.add_argument('--work-dir', help='folder for logs and checkpoints (default: work_dirs/<config name>)')
    parser.add_argument('--amp', action='store_true', help='forward passes in bfloat16 (CPU and GPU)')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale learning rates to the batch by auto_scale_lr's base",
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='continue from this checkpoint; alone: from the newest of the work dir, if it has any',
    )
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate during training')
    add_common_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Train, then test if the config says so: the best weights where validation chooses some, else the last ones."""
    cfg = training_config(parse_args())
    check_required_files(cfg)
    if not torch.cuda.is_available():
        keep_freed_memory()  # or a step on a CPU spends a good part of its time in the kernel, see there
    if cfg.get('load_from') and not cfg.resume:
        check_checkpoint(cfg.load_from)
    runner = RUNNERS.build(cfg)
    runner.train()
    if cfg.get('test_after_train', False):
        runner.test_trained()


def training_config(args: argparse.Namespace) -> Config:
    """The config with the command line's changes applied."""
    cfg = load_config(args)
    cfg.work_dir = args.work_dir or cfg.work_dir
    if args.amp:
        use_bfloat16(cfg)
    if args.auto_scale_lr:
        if 'auto_scale_lr' not in cfg:
            raise CommandLineError(f'--auto-scale-lr: {args.config} has no auto_scale_lr = dict(base_batch_size=...)')
        cfg.auto_scale_lr.enable = True
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.resume == 'auto':
        # A run without a checkpoint yet begins anew, from `load_from` where the config names one.
        cfg.resume = cfg.get('load_from') is None or find_latest_checkpoint(cfg.work_dir) is not None
        cfg.load_from = None if cfg.resume else cfg.load_from
    elif args.resume:
        check_checkpoint(args.resume)
        cfg.resume, cfg.load_from = True, args.resume
    return cfg


def use_bfloat16(cfg: Config) -> None:
    """Turn the plain optimiser wrapper into the bfloat16 one, with its options; others stay as they are."""
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    name = kind if isinstance(kind, str) else kind.__name__
    if name == 'OptimWrapper':
        cfg.optim_wrapper.type = 'BFloat16OptimWrapper'
    elif name not in ('BFloat16OptimWrapper', 'AmpOptimWrapper'):
        raise CommandLineError(f'--amp: optim_wrapper.type is {name}; only OptimWrapper can be switched to bfloat16')


if __name__ == '__main__':
    run_main(main)
