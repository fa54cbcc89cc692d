"""COCO export of EmojiScenes, and weights as safetensors."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open

from rc3mm.datasets import EmojiStrict

ROOT = Path(__file__).parents[2]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_coco_export(tmp_path: Path) -> None:
    script = 'tools/dataset_converters/export_emoji_coco.py'
    done = run(script, tmp_path, '--train', 9, '--val', 4, '--test', 0, '--level', 'hard', '--num-concepts', 30)
    assert done.returncode == 0, done.stderr
    assert 'hard_train: 9 images' in done.stdout and not (tmp_path / 'hard_test').exists()
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
    done = run(script, tmp_path, '--train', -1)
    assert done.returncode != 0 and '--train must not be negative' in done.stderr


def test_weights_as_safetensors(tmp_path: Path) -> None:
    script = 'tools/model_converters/export_weights.py'
    state = {'a.weight': torch.randn(3, 4), 'a.steps': torch.tensor(7)}
    torch.save({'state_dict': state, 'optimizer': {'x': torch.zeros(1000)}}, tmp_path / 'in.pth')
    (tmp_path / 'coco.json').write_text(json.dumps({'categories': [{'id': 1, 'name': 'b'}, {'id': 0, 'name': 'ä'}]}))
    out = tmp_path / 'out.safetensors'
    done = run(script, tmp_path / 'in.pth', out, '--annotations', tmp_path / 'coco.json')
    assert done.returncode == 0, done.stderr
    with safe_open(out, 'pt') as stored:
        assert json.loads(stored.metadata()['class_names']) == ['ä', 'b'] and set(stored.keys()) == set(state)
        assert torch.equal(stored.get_tensor('a.weight'), state['a.weight'].half())
        assert torch.equal(stored.get_tensor('a.steps'), state['a.steps'])
    done = run(script, tmp_path / 'none.pth', out)
    assert done.returncode == 2 and 'none.pth' in done.stderr and done.stderr.count('\n') == 1
    done = run(script, tmp_path / 'in.pth', tmp_path / 'out.pth')
    assert done.returncode == 2 and 'must end in .safetensors' in done.stderr


def test_weights_too_large_for_their_type_are_refused(tmp_path: Path) -> None:
    script, out = 'tools/model_converters/export_weights.py', tmp_path / 'out.safetensors'
    state = {'fine': torch.tensor([65504.0, float('inf')]), 'bn.running_var': torch.tensor([1.0, -70000.0, 66000.0])}
    torch.save({'state_dict': state}, tmp_path / 'in.pth')
    out.write_bytes(b'as it was')
    done = run(script, tmp_path / 'in.pth', out)
    assert done.returncode == 2 and done.stderr.count('\n') == 1
    assert 'error: 2 numbers of bn.running_var, up to 70000, are too large for float16 (65504)' in done.stderr
    assert 'Choose --dtype bfloat16 or --dtype float32' in done.stderr
    assert out.read_bytes() == b'as it was' and {path.name for path in tmp_path.iterdir()} == {'in.pth', out.name}
    done = run(script, tmp_path / 'in.pth', out, '--dtype', 'float32')
    assert done.returncode == 0, done.stderr
    with safe_open(out, 'pt') as stored:
        assert torch.equal(stored.get_tensor('bn.running_var'), state['bn.running_var'])


def test_where_nothing_can_be_written_one_line_says_so(tmp_path: Path) -> None:
    torch.save({'state_dict': {'a': torch.zeros(2)}}, tmp_path / 'in.pth')
    (tmp_path / 'file').touch()
    done = run('tools/model_converters/export_weights.py', tmp_path / 'in.pth', tmp_path / 'file/out.safetensors')
    assert done.returncode == 2 and 'cannot be written' in done.stderr and done.stderr.count('\n') == 1
