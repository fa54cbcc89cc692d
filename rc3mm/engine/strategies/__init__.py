"""How a model is spread over processes: data-parallel, sharded (FSDP2), or by DeepSpeed."""

from rc3mm.engine.strategies.base import Strategy
from rc3mm.engine.strategies.data_parallel import DataParallel
from rc3mm.engine.strategies.deepspeed import DeepSpeed
from rc3mm.engine.strategies.fsdp2 import FSDP2

__all__ = ['FSDP2', 'DataParallel', 'DeepSpeed', 'Strategy']
