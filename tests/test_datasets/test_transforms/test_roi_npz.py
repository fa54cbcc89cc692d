"""LoadRoiNpz: arrays, boxes that follow the image's size, errors that name the file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rc3mm.datasets import LoadRoiNpz, PackVLInputs, ResizeImage
from rc3mm.registry import TRANSFORMS

BOXES = [[0, 0, 20, 10], [10, 5, 20, 10], [-3, 2, 25, 8]]  # of an image of 20 x 10 pixels; the last leaves it


def arrays(**changes: Any) -> dict[str, Any]:
    features = np.arange(12, dtype=np.float16).reshape(3, 4)
    return {
        'features': features,
        'boxes': np.array(BOXES, np.float32),
        'image_h': 10,
        'image_w': 20,
        **changes,
    }


def write(folder: Path, **changes: Any) -> Path:
    kept = {key: value for key, value in arrays(**changes).items() if value is not None}
    np.savez(folder / 'a.npz', **kept)
    return folder / 'a.npz'


def packed_boxes(sample: dict[str, Any]) -> np.ndarray:
    return PackVLInputs()({**sample, 'source': 'strict'})['inputs']['roi_boxes'].numpy()


def test_without_an_image(tmp_path: Path) -> None:
    write(tmp_path)
    sample = TRANSFORMS.build(dict(type='LoadRoiNpz', root=str(tmp_path)))({'image_id': 'a'})
    assert sample['roi_features'].dtype == sample['roi_boxes'].dtype == np.float32
    assert sample['roi_features'].tolist() == arrays()['features'].tolist()
    assert sample['roi_boxes'].tolist() == [[0, 0, 20, 10], [10, 5, 20, 10], [0, 2, 20, 8]]
    assert sample['image_size'] == (10, 20)
    assert packed_boxes(sample)[1].tolist() == [0.5, 0.5, 1, 1]


@pytest.mark.parametrize('shown', [(10, 20), (30, 40)])
@pytest.mark.parametrize('resize_first', [False, True])
def test_boxes_follow_the_image(tmp_path: Path, shown: tuple[int, int], resize_first: bool) -> None:
    write(tmp_path)
    sample = {'image_id': 'a', 'image': np.zeros((*shown, 3), np.uint8)}
    load, resize = LoadRoiNpz(tmp_path), ResizeImage(8)
    sample = load(resize(sample)) if resize_first else resize(load(sample))
    assert sample['roi_boxes'][1].tolist() == [4, 4, 8, 8]
    np.testing.assert_allclose(packed_boxes(sample), [[0, 0, 1, 1], [0.5, 0.5, 1, 1], [0, 0.2, 1, 0.8]], atol=1e-6)


def test_number_of_regions(tmp_path: Path) -> None:
    write(tmp_path)
    sample = LoadRoiNpz(tmp_path, num_regions=2)({'image_id': 'a'})
    assert len(sample['roi_features']) == len(sample['roi_boxes']) == 2
    assert len(LoadRoiNpz(tmp_path, num_regions=36)({'image_id': 'a'})['roi_boxes']) == 3
    with pytest.raises(ValueError, match='num_regions must be at least 1'):
        LoadRoiNpz(tmp_path, num_regions=0)


BROKEN = {
    'lacks an array: it needs features, boxes': dict(boxes=None),
    r'expected features \(R, F\)': dict(features=np.zeros((2, 4))),
    r'with R > 0': dict(features=np.zeros((0, 4)), boxes=np.zeros((0, 4))),
    'image_h and image_w must be one positive number': dict(image_h=0),
    'numbers that are not finite': dict(features=np.full((3, 4), np.nan)),
    'cannot be read': dict(features=np.array([{'a': 1}], dtype=object)),
}


@pytest.mark.parametrize('message', BROKEN)
def test_broken_arrays(tmp_path: Path, message: str) -> None:
    path = write(tmp_path, **BROKEN[message])
    with pytest.raises(ValueError, match=f'{path}.*{message}'):
        LoadRoiNpz(tmp_path)({'image_id': 'a'})


@pytest.mark.parametrize('content', ['cut', 'empty', 'array', 'text', 'damaged'])
def test_broken_files(tmp_path: Path, content: str) -> None:
    path = write(tmp_path)
    whole = path.read_bytes()
    if content == 'array':
        np.save(tmp_path / 'b.npy', np.zeros(3))
        path.write_bytes((tmp_path / 'b.npy').read_bytes())
    elif content == 'damaged':
        np.savez_compressed(path, **arrays(features=np.random.default_rng(0).random((3, 400))))
        damaged = bytearray(path.read_bytes())
        damaged[300:500] = bytes(200)
        path.write_bytes(damaged)
    else:
        path.write_bytes({'cut': whole[: len(whole) // 2], 'empty': b'', 'text': b'hello'}[content])
    with pytest.raises(ValueError, match=f'{path} cannot be read .*extract its features anew'):
        LoadRoiNpz(tmp_path)({'image_id': 'a'})


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f'no region features at {tmp_path}/b.npz: extract them'):
        LoadRoiNpz(tmp_path)({'image_id': 'b'})
