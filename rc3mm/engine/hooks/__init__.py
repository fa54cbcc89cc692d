"""Hooks: checkpoints and reports."""

from rc3mm.engine.hooks.checkpoint import RC3CheckpointHook
from rc3mm.engine.hooks.coverage import RegionCoverageHook
from rc3mm.engine.hooks.report import ReportHook

__all__ = ['RC3CheckpointHook', 'RegionCoverageHook', 'ReportHook']
