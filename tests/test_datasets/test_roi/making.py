"""Small regions, and files of them in every layout that rc3mm reads."""

import base64
import io
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lmdb
import msgpack
import numpy as np

from rc3mm.datasets.roi import RoiManifest, begin_store, finish_store, write_shard
from rc3mm.structures.regions import Regions

WIDTH, CLASSES = 6, 3
SIZE = (40, 60)  # height and width


def make_regions(seed: int, count: int = 3, probs: bool = True) -> Regions:
    """Regions whose numbers float16 holds exactly, best first."""
    rng = np.random.default_rng(seed)
    boxes = rng.integers(0, 20, (count, 4)).astype(np.float32)
    boxes[:, 2:] += boxes[:, :2] + 1
    features = rng.integers(-100, 100, (count, WIDTH)).astype(np.float32)
    if not probs:
        return Regions(features, boxes, SIZE)
    scores = np.sort(rng.integers(1, 100, count).astype(np.float32) / 128)[::-1].copy()
    class_probs = rng.integers(0, 64, (count, CLASSES + 1)).astype(np.float32) / 64
    return Regions(features, boxes, SIZE, scores, class_probs)


def assert_same(found: Regions, expected: Regions) -> None:
    assert tuple(found.image_size) == tuple(expected.image_size)
    for name in ('features', 'boxes', 'scores', 'class_probs', 'attribute_probs'):
        one, other = getattr(found, name), getattr(expected, name)
        assert (one is None) == (other is None), name
        if one is not None:
            np.testing.assert_array_equal(one, other.astype(one.dtype), err_msg=name)


def plan(num_shards: int, **changes: Any) -> RoiManifest:
    entries: dict[str, Any] = dict(
        detector='tiny',
        feature='head',
        feature_dim=WIDTH,
        num_shards=num_shards,
        shard_size=2,
        inputs='f1',
        num_classes=CLASSES,
        protocol=dict(min_regions=1, max_regions=3, score_thr=0.2),
        command='python make.py',
    )
    return RoiManifest(**{**entries, **changes})


def make_store(folder: Path, shards: Sequence[Mapping[str, Regions]], **changes: Any) -> Path:
    begin_store(folder, plan(len(shards), **changes))
    for number, shard in enumerate(shards):
        write_shard(folder, number, shard.items())
    finish_store(folder)
    return folder


def coded(values: np.ndarray) -> bytes:
    return base64.b64encode(np.ascontiguousarray(values, '<f4').tobytes())


def write_lmdb(path: Path, values: Mapping[bytes, bytes], folder: bool = True) -> Path:
    with lmdb.open(str(path), map_size=1 << 26, subdir=folder) as environment:
        with environment.begin(write=True) as transaction:
            for key, value in values.items():
                transaction.put(key, value)
    return path


def background_first(regions: Regions) -> np.ndarray:
    assert regions.class_probs is not None
    return np.roll(regions.class_probs, 1, axis=1)


def volta_raw(regions: Regions) -> dict[str, Any]:
    return {
        'features': regions.features,
        'boxes': regions.boxes,
        'img_h': regions.image_size[0],
        'img_w': np.int64(regions.image_size[1]),
        'obj_conf': regions.scores,
        'cls_prob': background_first(regions),
        'img_id': '7',
    }


def volta_base64(regions: Regions) -> dict[str, Any]:
    return {
        'features': coded(regions.features).decode(),
        'boxes': coded(regions.boxes),
        'image_h': regions.image_size[0],
        'image_w': regions.image_size[1],
        'num_boxes': len(regions),
        'objects_conf': coded(regions.scores),
        'cls_prob': coded(background_first(regions)),
    }


def write_volta(path: Path, regions: Mapping[str, Regions], record: Callable[[Regions], Any] = volta_raw) -> Path:
    values = {key.encode(): pickle.dumps(record(value)) for key, value in regions.items()}
    return write_lmdb(path, {**values, b'keys': pickle.dumps([key.encode() for key in regions])})


def uc2_record(regions: Regions) -> dict[str, np.ndarray]:
    shares = regions.boxes / np.array([SIZE[1], SIZE[0]] * 2, np.float32)
    sides = shares[:, 2:] - shares[:, :2]
    return {
        'features': regions.features.astype(np.float16),
        'norm_bb': np.concatenate([shares, sides], 1),
        'conf': regions.scores,
        'soft_labels': background_first(regions),
    }


def pack(record: Mapping[str, np.ndarray]) -> bytes:
    """As the packer of NumPy arrays for msgpack writes them."""

    def entry(array: np.ndarray) -> dict[bytes, Any]:
        head = {b'nd': True, b'type': array.dtype.str, b'kind': b''}
        return {**head, b'shape': array.shape, b'data': array.tobytes()}

    return msgpack.packb({name: entry(np.asarray(array)) for name, array in record.items()})


def pack_npz(record: Mapping[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **record)
    return buffer.getvalue()


def write_uc2(
    path: Path, regions: Mapping[str, Regions], packer: Callable[[Mapping[str, np.ndarray]], bytes] = pack
) -> Path:
    values = {key.encode(): packer(uc2_record(value)) for key, value in regions.items()}
    return write_lmdb(path, {**values, b'__keys__': b'[]'})


def tsv_line(image_id: str, regions: Regions) -> bytes:
    height, width = regions.image_size
    head = '\t'.join(map(str, (image_id, width, height, len(regions))))
    return head.encode() + b'\t' + coded(regions.boxes) + b'\t' + coded(regions.features)


def write_tsv(path: Path, regions: Mapping[str, Regions]) -> Path:
    path.write_bytes(b''.join(tsv_line(key, value) + b'\n' for key, value in regions.items()))
    return path


def npz_arrays(regions: Regions) -> dict[str, Any]:
    height, width = regions.image_size
    arrays = {'features': regions.features, 'boxes': regions.boxes, 'image_h': height, 'image_w': width}
    if regions.scores is not None:
        arrays |= {'scores': regions.scores, 'class_probs': regions.class_probs}
    return arrays


def write_npz(folder: Path, regions: Mapping[str, Regions]) -> Path:
    for key, value in regions.items():
        path = folder / f'{key}.npz'
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **npz_arrays(value))
    return folder
