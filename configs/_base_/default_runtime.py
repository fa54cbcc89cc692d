"""What every run shares: hooks, logging, visualisation, the runner."""

from mmengine.hooks import DistSamplerSeedHook, IterTimerHook, LoggerHook, ParamSchedulerHook, RuntimeInfoHook
from mmengine.visualization import LocalVisBackend, TensorboardVisBackend, Visualizer

from rc3mm.engine import DataParallel, RC3CheckpointHook, RC3LogProcessor, RC3Runner, RegionCoverageHook, ReportHook

default_scope = 'rc3mm'
runner_type = RC3Runner

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),  # without a GPU the runner uses gloo
)
# How several processes share the model: DataParallel, FSDP2 or DeepSpeed (docs/scaling.md); one process has it whole.
strategy = dict(type=DataParallel)

default_hooks = dict(
    runtime_info=dict(type=RuntimeInfoHook),
    timer=dict(type=IterTimerHook),
    logger=dict(type=LoggerHook, interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type=ParamSchedulerHook),
    checkpoint=dict(type=RC3CheckpointHook, by_epoch=False, interval=1000, max_keep_ckpts=2),
    sampler_seed=dict(type=DistSamplerSeedHook),
    coverage=dict(type=RegionCoverageHook),
)
custom_hooks = [dict(type=ReportHook)]

log_processor = dict(type=RC3LogProcessor, by_epoch=False, window_size=50)
# For Weights & Biases or MLflow add dict(type=WandbVisBackend) or dict(type=MLflowVisBackend) of
# mmengine.visualization (packages: requirements/optional.txt).
vis_backends = [dict(type=LocalVisBackend), dict(type=TensorboardVisBackend)]
visualizer = dict(type=Visualizer, vis_backends=vis_backends)

log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=0)
