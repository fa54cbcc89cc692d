"""From annotation files and pictures to what a model takes: each kind of task through a whole pipeline."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rc3mm.datasets.benchmarks import NLVR2, XVNLI, Multi30kTranslation, WITRetrieval
from rc3mm.registry import DATASETS
from rc3mm.structures import Draw
from tests.test_datasets.test_benchmarks.making import wit_line, write_image, write_lines, xvnli_line, xvnli_root

IMAGE = [dict(type='DecodeImage'), dict(type='ResizeImage', size=32)]
TEXT = dict(type='Tokenize', tokenizer='emoji')
PACK = dict(type='PackVLInputs')


def packed(dataset: Any, item: Any = 0) -> tuple[dict[str, Any], Any]:
    """Inputs and data sample of an item, whose images are made first."""
    sample = dataset.get_sample(item.index if isinstance(item, Draw) else item)
    for image in sample.get('images', [sample]):
        write_image(image['image_path'])
    result = dataset[item]
    return result['inputs'], result['data_samples']


def test_answers(tmp_path: Path) -> None:
    root = xvnli_root(tmp_path, [xvnli_line(0, '-')], 'fr')
    config = dict(type='XVNLI', ann_root=root, image_root=tmp_path, languages=['fr'], pipeline=[*IMAGE, TEXT, PACK])
    dataset = DATASETS.build(config)
    assert isinstance(dataset, XVNLI)
    inputs, sample = packed(dataset)
    assert inputs['image'].shape == (3, 32, 32) and inputs['label'] == -1 and len(inputs['text_ids']) == 1
    assert sample.texts == [('fr', 'hypothesis 0')] and sample.item_id == 'fr-0.jpg#0r0e' and sample.answer == '-'


def test_two_images(tmp_path: Path) -> None:
    line = {'identifier': 'dev-8-0-0', 'sentence': 'Two dogs.', 'label': 'True'}
    write_lines(tmp_path / 'nlvr2/annotations/dev.jsonl', [line])
    steps = [dict(type='EachImage', transforms=IMAGE), TEXT, PACK]
    inputs, sample = packed(NLVR2(ann_root=tmp_path, image_root=tmp_path, split='dev', pipeline=steps))
    assert [image['image'].shape for image in inputs['images']] == [torch.Size([3, 32, 32])] * 2
    assert inputs['label'] == 1 and sample.group == 'dev-8-0' and sample.image_id == 'dev-8-0-img0+dev-8-0-img1'


def test_translation(tmp_path: Path) -> None:
    write_lines(tmp_path / 'task1/image_splits/val.txt', ['1.jpg'])
    for language, text in (('en', 'a dog'), ('de', 'ein Hund')):
        write_lines(tmp_path / f'task1/raw/val.{language}.gz', [text])
    steps = [*IMAGE, TEXT, dict(type='TokenizeTarget', tokenizer='emoji'), PACK]
    options: dict[str, Any] = {'split': 'val', 'languages': ['de'], 'pipeline': steps}
    inputs, sample = packed(Multi30kTranslation(ann_root=tmp_path, image_root=tmp_path, **options))
    assert sample.target == ('de', 'ein Hund') and len(inputs['target_ids']) > 2


@pytest.mark.parametrize('pick', [False, True])
def test_retrieval(tmp_path: Path, pick: bool) -> None:
    write_lines(tmp_path / 'wit/annotations/test_ja.jsonl', [wit_line(1, caption) for caption in ('犬', '猫', '\xa0')])
    steps = [*([dict(type='PickCaption')] * pick), *IMAGE, TEXT, PACK]
    dataset = WITRetrieval(ann_root=tmp_path, image_root=tmp_path, languages=['ja'], pipeline=steps)
    inputs, sample = packed(dataset, Draw(index=0, seed=(7,)))
    assert len(inputs['text_ids']) == len(sample.texts) == (1 if pick else 3)
    if pick:
        drawn = {dataset[Draw(index=0, seed=(seed,))]['data_samples'].texts[0] for seed in range(40)}
        assert drawn == {('ja', '犬'), ('ja', '猫'), ('ja', '\xa0')}
    assert np.array_equal(dataset.lengths([Draw(index=0, seed=(7,))]), [max(map(len, _all_ids(dataset)))])


def _all_ids(dataset: Any) -> list[list[int]]:
    tokenize = next(step for step in dataset.pipeline.transforms if type(step).__name__ == 'Tokenize')
    return tokenize.encode([text for _, text in dataset.get_texts(0)])
