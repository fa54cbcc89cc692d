"""Find, build and fill an mmdet detector, without fetching anything and without executing a checkpoint."""

import difflib
import hashlib
import importlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from safetensors import safe_open
from torch import nn

from rc3mm.utils.checkpoint import load_state_dict, read_checkpoint

__all__ = ['DetectorConfig', 'build_detector', 'load_weights', 'read_config', 'require_detector_packages']

_SHIPPED = {'emoji': Path(__file__).parent / 'weights' / 'faster_rcnn_emoji.safetensors'}


@dataclass(frozen=True)
class DetectorConfig:
    """What a detector is built from.

    Attributes:
        name: for people: the config's name, or the type of the model.
        model: the model's entry.
        test_pipeline: how the config's test images are prepared; None if it does not say.
        class_names: as the config's test set names them; None if it does not say.
    """

    name: str
    model: dict[str, Any]
    test_pipeline: list[dict[str, Any]] | None = None
    class_names: tuple[str, ...] | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the model's entry."""
        text = json.dumps(self.model, sort_keys=True, default=lambda value: getattr(value, '__name__', str(value)))
        return hashlib.sha256(text.encode()).hexdigest()


def require_detector_packages() -> None:
    """Import mmcv's operators and mmdet.

    Raises:
        ImportError: one of them is missing, or mmcv was built without its operators.
    """
    try:
        importlib.import_module('mmcv.ops')
        importlib.import_module('mmdet')
    except ImportError as error:
        raise ImportError(
            f"region features need mmdet and mmcv with its operators: pip install 'rc3mm[detector]' ({error})"
        ) from error


def read_config(detector: str | Mapping[str, Any]) -> DetectorConfig:
    """The config of a detector.

    Args:
        detector: path of an mmdet config file; `mmdet::` and the path of a config that mmdet ships; the model's entry
            itself; or a dictionary of `model` and `test_pipeline`.

    Raises:
        FileNotFoundError: no such config file.
        ValueError: the config has no model, or the entry no type.
    """
    if isinstance(detector, Mapping):
        if isinstance(detector.get('model'), Mapping):
            config = read_config(detector['model'])
            return replace(config, test_pipeline=_plain(detector.get('test_pipeline')))
        if 'type' not in detector:
            raise ValueError(
                f'`detector` must be the model entry of an mmdet config, with a `type`; its keys are {list(detector)}'
            )
        kind = detector['type']
        return DetectorConfig(kind if isinstance(kind, str) else kind.__name__, _plain(detector))
    path = _find(detector)
    cfg = Config.fromfile(path)
    if 'model' not in cfg:
        raise ValueError(f'{path} has no `model`, so it is not the config of a detector')
    dataset = cfg.get('test_dataloader', {}).get('dataset', {})
    name = detector if '::' in detector else path.name
    pipeline = dataset.get('pipeline') or cfg.get('test_pipeline')
    return DetectorConfig(name, _plain(cfg.model), _plain(pipeline), _class_names(dataset))


def _find(detector: str) -> Path:
    package, separator, inner = detector.partition('::')
    if not separator:
        path = Path(detector)
    else:
        file = importlib.import_module(package).__file__
        path = Path(str(file)).parent / '.mim' / 'configs' / inner
    if not path.is_file():
        near = difflib.get_close_matches(path.name, [other.name for other in path.parent.glob('*.py')])
        hint = f'; did you mean {near[0]}?' if near else ''
        raise FileNotFoundError(f'there is no detector config {path}{hint}')
    return path


def _plain(value: Any) -> Any:
    """Containers of a config as plain ones, so that nothing is shared with it."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    return value


def _class_names(dataset: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Names that a data set's config or its class gives, without touching its files."""
    names = (dataset.get('metainfo') or {}).get('classes')
    kind = dataset.get('type')
    if names is None and kind is not None:
        from mmdet.registry import DATASETS

        with DefaultScope.overwrite_default_scope('mmdet'):
            kind = DATASETS.get(kind) if isinstance(kind, str) else kind
        names = getattr(kind, 'METAINFO', {}).get('classes')
    return tuple(names) if isinstance(names, list | tuple) else None


def build_detector(model: Mapping[str, Any]) -> Any:
    """Build a two-stage detector with fresh weights; pretrained parts that its config names are not fetched.

    Raises:
        TypeError: it is no two-stage detector with one box head.
    """
    for name in ('attribute_head', 'caffe_resnet'):  # they register their classes
        importlib.import_module(f'rc3mm.models.detectors.{name}')
    from mmdet.models.roi_heads import StandardRoIHead
    from mmdet.models.roi_heads.bbox_heads import BBoxHead
    from mmdet.registry import MODELS

    # An extractor trains, if at all, through its features: mmdet's settings of its own losses may be left out.
    entry = {'train_cfg': None, **_without_pretrained(_plain(model))}
    with DefaultScope.overwrite_default_scope('mmdet'):
        detector: Any = MODELS.build(ConfigDict(entry))
    roi_head = getattr(detector, 'roi_head', None)
    head = getattr(roi_head, 'bbox_head', None)
    standard = getattr(type(roi_head), '_bbox_forward', None) is StandardRoIHead._bbox_forward
    if not (hasattr(detector, 'rpn_head') and standard and isinstance(head, BBoxHead) and hasattr(head, 'fc_reg')):
        raise TypeError(
            f'{type(detector).__name__} cannot give region features: needed are an RPN and a ROI head with one box '
            'head that ends in fc_cls and fc_reg (the families of Faster and Mask R-CNN; no cascades, no one-stage '
            'detectors)'
        )
    return detector


def _without_pretrained(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_without_pretrained(item) for item in value)
    if not isinstance(value, dict):
        return value
    init = value.get('init_cfg')
    dropped = {'pretrained'}
    if isinstance(init, dict) and init.get('type') in ('Pretrained', 'PretrainedInit'):
        dropped.add('init_cfg')
    return {key: _without_pretrained(item) for key, item in value.items() if key not in dropped}


def load_weights(detector: nn.Module, path: str) -> tuple[str, tuple[str, ...] | None]:
    """Fill a detector from a checkpoint, which is read without executing code.

    Args:
        detector: the receiver.
        path: a `.pth` or `.safetensors` file, or the name of weights that ship with rc3mm (`emoji`). The metadata of
            a safetensors file may name the classes (`class_names`, a JSON list).

    Returns:
        SHA-256 of the file, and the names of the classes if the checkpoint holds them.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the checkpoint lacks weights of the detector, or has some of another shape.
    """
    path = str(_SHIPPED.get(path, path))
    checkpoint = read_checkpoint(path)
    report = load_state_dict(detector, checkpoint['state_dict'])
    report.missing = [key for key in report.missing if not key.endswith('num_batches_tracked')]
    if report.missing or report.reshaped:
        raise ValueError(f'{path} does not fit the detector {type(detector).__name__}: {report}')
    print_log(f'{path}: {report}', logger='current', level=logging.INFO)
    meta = checkpoint.get('meta') or {}
    names = {**meta, **(meta.get('dataset_meta') or {})}
    classes = names.get('classes') or names.get('CLASSES')
    if path.endswith('.safetensors'):
        with safe_open(path, 'pt') as stored:
            classes = json.loads((stored.metadata() or {}).get('class_names', 'null'))
    with open(path, 'rb') as file:
        digest = hashlib.file_digest(file, 'sha256').hexdigest()
    return digest, tuple(classes) if isinstance(classes, list | tuple) else None
