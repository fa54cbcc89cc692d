"""Runner, loops, hooks and optimiser wrappers; importing this fills their registries."""

from rc3mm.engine.evaluation_loop import EvaluationLoop
from rc3mm.engine.evaluation_suite import EvaluationSuite
from rc3mm.engine.fused_loop import FusedLoop
from rc3mm.engine.hooks import RC3CheckpointHook, RegionCoverageHook, ReportHook
from rc3mm.engine.log_processor import RC3LogProcessor
from rc3mm.engine.optim import BFloat16OptimWrapper
from rc3mm.engine.param_groups import GroupedOptimWrapperConstructor
from rc3mm.engine.prediction_loop import PredictionLoop
from rc3mm.engine.retrieval_loop import RetrievalLoop
from rc3mm.engine.runner import RC3Runner
from rc3mm.engine.strategies import FSDP2, DataParallel, DeepSpeed, Strategy
from rc3mm.engine.train_loop import RC3TrainLoop

__all__ = [
    'FSDP2',
    'BFloat16OptimWrapper',
    'DataParallel',
    'DeepSpeed',
    'EvaluationLoop',
    'EvaluationSuite',
    'FusedLoop',
    'GroupedOptimWrapperConstructor',
    'PredictionLoop',
    'RC3CheckpointHook',
    'RC3LogProcessor',
    'RC3Runner',
    'RC3TrainLoop',
    'RegionCoverageHook',
    'ReportHook',
    'RetrievalLoop',
    'Strategy',
]
