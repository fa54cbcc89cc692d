"""The pre-training objectives, one a file, and the batch context that they share."""

from rc3mm.models.objectives.base import Objective
from rc3mm.models.objectives.chunked import ChunkedContext
from rc3mm.models.objectives.context import MASKED_PAIR, MASKED_SINGLE, BatchContext, Request
from rc3mm.models.objectives.context_model import ContextModel
from rc3mm.models.objectives.itc import ITC
from rc3mm.models.objectives.itm import ITM
from rc3mm.models.objectives.mlm import MLM, VTLM
from rc3mm.models.objectives.mrm import MRM
from rc3mm.models.objectives.regularizers import BandRegularizer, NoRegularizer, SoftTargetRegularizer
from rc3mm.models.objectives.rxvtcl import RXVtCL
from rc3mm.models.objectives.tlm import TLM
from rc3mm.models.objectives.xlco import XLCO
from rc3mm.models.objectives.xvtcl import XVtCL

__all__ = [
    'ITC',
    'ITM',
    'MASKED_PAIR',
    'MASKED_SINGLE',
    'MLM',
    'MRM',
    'TLM',
    'VTLM',
    'XLCO',
    'BandRegularizer',
    'BatchContext',
    'ChunkedContext',
    'ContextModel',
    'NoRegularizer',
    'Objective',
    'RXVtCL',
    'Request',
    'SoftTargetRegularizer',
    'XVtCL',
]
