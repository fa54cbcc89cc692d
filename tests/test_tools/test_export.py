"""COCO export of EmojiScenes, and weights as safetensors."""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open

from rc3mm.datasets import EmojiStrict
from tests.conftest import WarmLauncher


def test_coco_export(warm: WarmLauncher, tmp_path: Path) -> None:
    script = 'dataset_converters/export_emoji_coco.py'
    done = warm(script, tmp_path, '--train', 9, '--val', 4, '--test', 0, '--level', 'hard', '--num-concepts', 30)
    assert done.code == 0, done.output
    assert 'hard_train: 9 images' in done.output and not (tmp_path / 'hard_test').exists()
    coco = json.loads((tmp_path / 'annotations/hard_train.json').read_text())
    dataset = EmojiStrict(num_scenes=9, num_concepts=30, level='hard', image_size=48, seed=11)
    assert [category['id'] for category in coco['categories']] == list(range(30))
    for index, image in enumerate(coco['images']):
        sample = dataset.get_sample(index)
        pixels = np.asarray(Image.open(tmp_path / 'hard_train' / image['file_name']))
        assert np.array_equal(pixels, sample['image']) and pixels.shape == (image['height'], image['width'], 3)
        own = [box for box in coco['annotations'] if box['image_id'] == image['id']]
        x, y, w, h = np.array([box['bbox'] for box in own]).T
        assert np.allclose(np.stack([x, y, x + w, y + h], 1), sample['roi_boxes'])
        assert [box['category_id'] for box in own] == sample['roi_labels'].tolist()
    assert len({box['id'] for box in coco['annotations']}) == len(coco['annotations'])
    assert min(box['id'] for box in coco['annotations']) == 1
    done = warm(script, tmp_path, '--train', -1)
    assert done.code != 0 and '--train must not be negative' in done.output


def test_weights_as_safetensors(warm: WarmLauncher, tmp_path: Path) -> None:
    script = 'model_converters/export_weights.py'
    state = {'a.weight': torch.randn(3, 4), 'a.steps': torch.tensor(7)}
    torch.save({'state_dict': state, 'optimizer': {'x': torch.zeros(1000)}}, tmp_path / 'in.pth')
    (tmp_path / 'coco.json').write_text(json.dumps({'categories': [{'id': 1, 'name': 'b'}, {'id': 0, 'name': 'ä'}]}))
    out = tmp_path / 'out.safetensors'
    done = warm(script, tmp_path / 'in.pth', out, '--annotations', tmp_path / 'coco.json')
    assert done.code == 0, done.output
    with safe_open(out, 'pt') as stored:
        assert json.loads(stored.metadata()['class_names']) == ['ä', 'b'] and set(stored.keys()) == set(state)
        assert torch.equal(stored.get_tensor('a.weight'), state['a.weight'].half())
        assert torch.equal(stored.get_tensor('a.steps'), state['a.steps'])
    done = warm(script, tmp_path / 'none.pth', out)
    assert done.code == 2 and 'none.pth' in done.output and done.output.count('\n') == 1
    done = warm(script, tmp_path / 'in.pth', tmp_path / 'out.pth')
    assert done.code == 2 and 'must end in .safetensors' in done.output


def test_weights_too_large_for_their_type_are_refused(warm: WarmLauncher, tmp_path: Path) -> None:
    script, out = 'model_converters/export_weights.py', tmp_path / 'out.safetensors'
    state = {'fine': torch.tensor([65504.0, float('inf')]), 'bn.running_var': torch.tensor([1.0, -70000.0, 66000.0])}
    torch.save({'state_dict': state}, tmp_path / 'in.pth')
    out.write_bytes(b'as it was')
    done = warm(script, tmp_path / 'in.pth', out)
    assert done.code == 2 and done.output.count('\n') == 1
    assert 'error: 2 numbers of bn.running_var, up to 70000, are too large for float16 (65504)' in done.output
    assert 'Choose --dtype bfloat16 or --dtype float32' in done.output
    assert out.read_bytes() == b'as it was' and {path.name for path in tmp_path.iterdir()} == {'in.pth', out.name}
    done = warm(script, tmp_path / 'in.pth', out, '--dtype', 'float32')
    assert done.code == 0, done.output
    with safe_open(out, 'pt') as stored:
        assert torch.equal(stored.get_tensor('bn.running_var'), state['bn.running_var'])


def test_where_nothing_can_be_written_one_line_says_so(warm: WarmLauncher, tmp_path: Path) -> None:
    torch.save({'state_dict': {'a': torch.zeros(2)}}, tmp_path / 'in.pth')
    (tmp_path / 'file').touch()
    done = warm('model_converters/export_weights.py', tmp_path / 'in.pth', tmp_path / 'file/out.safetensors')
    assert done.code == 2 and 'cannot be written' in done.output and done.output.count('\n') == 1
