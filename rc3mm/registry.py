"""The registries of rc3mm: children of MMEngine's, filled on first use.

`locations` names the packages whose import registers the members, so `import rc3mm` stays light and a config that
says `type='ITC'` still finds it. Every registry here has members; add one only together with its first member.
"""

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOG_PROCESSORS as MMENGINE_LOG_PROCESSORS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
from mmengine.registry import STRATEGIES as MMENGINE_STRATEGIES
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

__all__ = [
    'DATASETS',
    'DATA_SAMPLERS',
    'FUNCTIONS',
    'HOOKS',
    'LOG_PROCESSORS',
    'LOOPS',
    'METRICS',
    'MODELS',
    'OPTIM_WRAPPERS',
    'OPTIM_WRAPPER_CONSTRUCTORS',
    'RELEVANCE_SCORERS',
    'RUNNERS',
    'STRATEGIES',
    'TRANSFORMS',
]

MODELS = Registry('model', parent=MMENGINE_MODELS, locations=['rc3mm.models'])
DATASETS = Registry('dataset', parent=MMENGINE_DATASETS, locations=['rc3mm.datasets'])
TRANSFORMS = Registry('transform', parent=MMENGINE_TRANSFORMS, locations=['rc3mm.datasets'])
DATA_SAMPLERS = Registry('data sampler', parent=MMENGINE_DATA_SAMPLERS, locations=['rc3mm.datasets'])
FUNCTIONS = Registry('function', parent=MMENGINE_FUNCTIONS, locations=['rc3mm.datasets'])
METRICS = Registry('metric', parent=MMENGINE_METRICS, locations=['rc3mm.evaluation'])
RELEVANCE_SCORERS = Registry('relevance scorer', locations=['rc3mm.relevance'])
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, locations=['rc3mm.engine'])
LOOPS = Registry('loop', parent=MMENGINE_LOOPS, locations=['rc3mm.engine'])
LOG_PROCESSORS = Registry('log processor', parent=MMENGINE_LOG_PROCESSORS, locations=['rc3mm.engine'])
RUNNERS = Registry('runner', parent=MMENGINE_RUNNERS, locations=['rc3mm.engine'])
STRATEGIES = Registry('strategy', parent=MMENGINE_STRATEGIES, locations=['rc3mm.engine'])
OPTIM_WRAPPERS = Registry('optim_wrapper', parent=MMENGINE_OPTIM_WRAPPERS, locations=['rc3mm.engine'])
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor', parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS, locations=['rc3mm.engine']
)
