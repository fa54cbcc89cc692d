"""Padding and stacking: nothing real is lost, nothing padded is taken for real."""

from typing import Any

import pytest
import torch

from rc3mm.datasets import (
    EachImage,
    EmojiPairs,
    EmojiParallel,
    EmojiStrict,
    EmojiVQA,
    EmojiWeak,
    MaskTokens,
    PackVLInputs,
    RoiPixels,
    Tokenize,
    vl_collate,
)
from rc3mm.datasets.tokenizers import load_tokenizer
from rc3mm.structures import Draw

PAD = 1


def packed(kind: type, count: int = 6, **kwargs: Any) -> list[dict[str, Any]]:
    """Samples as a training loader has them, of different numbers of regions and lengths of texts."""
    pipeline: list[Any] = [Tokenize('emoji'), MaskTokens('emoji', ('single', 'pair'), 0.3), PackVLInputs()]
    if kind is not EmojiParallel:
        pipeline.insert(0, RoiPixels(4))
    dataset = kind(num_scenes=count, image_size=32, pipeline=pipeline, **kwargs)
    return [dataset[Draw(index, (0, index), 0, 17, 42)] for index in range(count)]


def test_masks_tell_what_is_real_and_rows_keep_their_order() -> None:
    samples = packed(EmojiStrict)
    batch = vl_collate(samples, pad_id=PAD)
    inputs = batch['inputs']
    assert batch['data_samples'] == [sample['data_samples'] for sample in samples]
    assert inputs['image'].shape == (6, 3, 32, 32) and inputs['image'].dtype == torch.uint8
    lengths = set()
    for i, sample in enumerate(samples):
        one = sample['inputs']
        assert torch.equal(inputs['image'][i], one['image'])
        mask = inputs['roi_mask'][i]
        for key in ('roi_features', 'roi_boxes'):
            assert torch.equal(inputs[key][i][mask], one[key])
            assert not inputs[key][i][~mask].any()
        for k, ids in enumerate(one['text_ids']):
            row, mask = inputs['text_ids'][i * 2 + k], inputs['text_mask'][i * 2 + k]
            assert torch.equal(row[: len(ids)], ids) and mask.tolist() == [True] * len(ids) + [False] * (
                len(row) - len(ids)
            )
            assert (row[~mask] == PAD).all()
            lengths.add(len(ids))
    assert len(lengths) > 1 and not inputs['roi_mask'].all() and not inputs['text_mask'].all()
    assert inputs['text_mask'].any(0).all() and inputs['roi_mask'].any(0).all()  # no column of padding alone


@pytest.mark.parametrize('key', ['masked_single', 'masked_pair'])
def test_positions_index_the_padded_batch_and_labels_restore_the_texts(key: str) -> None:
    samples = packed(EmojiParallel)
    masked = vl_collate(samples, pad_id=PAD)['inputs'][key]
    assert masked['ids'].shape == masked['mask'].shape and not masked['mask'].all()
    assert masked['mask'].view(-1)[masked['positions']].all()
    restored = masked['ids'].clone()
    restored.view(-1)[masked['positions']] = masked['labels']
    tokenizer = load_tokenizer('emoji')
    for row, mask, sample in zip(restored, masked['mask'], samples, strict=True):
        texts = [text for _, text in sample['data_samples'].texts]
        if key == 'masked_pair':
            assert row[mask].tolist() == tokenizer(*texts)['input_ids']
        else:
            assert row[mask].tolist() in tokenizer(texts)['input_ids']


def test_pad_id_is_that_of_the_tokenizer_asked_for() -> None:
    inputs = vl_collate(packed(EmojiParallel), pad_id=77)['inputs']
    for ids, mask in (
        (inputs['text_ids'], inputs['text_mask']),
        *((inputs[k]['ids'], inputs[k]['mask']) for k in ('masked_single', 'masked_pair')),
    ):
        assert (ids[~mask] == 77).all() and not (ids[mask] == 77).all()


def test_numbers_of_the_step_and_relevance() -> None:
    samples = packed(EmojiWeak)
    for number, sample in enumerate(samples):
        sample['inputs']['relevance'] = number / 8
    inputs = vl_collate(samples)['inputs']
    assert inputs['relevance'].dtype == torch.float32 and inputs['relevance'].tolist() == [n / 8 for n in range(6)]
    assert (inputs['iteration'], inputs['step_seed']) == (17, 42)
    samples[3]['inputs']['step_seed'] = 43
    with pytest.raises(ValueError, match=r'disagree on step_seed: \[42, 43\]'):
        vl_collate(samples)


def test_a_batch_without_one_masked_token_keeps_its_shape() -> None:
    samples = packed(EmojiParallel, 2)
    empty = torch.zeros(0, dtype=torch.int64)
    for sample in samples:
        sample['inputs']['masked_single'] = {'ids': torch.tensor([0, 2]), 'positions': empty, 'labels': empty}
    masked = vl_collate(samples)['inputs']['masked_single']
    assert masked['positions'].shape == masked['labels'].shape == (0,) and masked['positions'].dtype == torch.int64


def test_images_with_other_numbers_of_texts_keep_all_of_them_in_order() -> None:
    samples = packed(EmojiStrict, 3)
    samples[1]['inputs']['text_ids'] *= 2
    inputs = vl_collate(samples)['inputs']
    rows = [ids[mask].tolist() for ids, mask in zip(inputs['text_ids'], inputs['text_mask'], strict=True)]
    assert rows == [ids.tolist() for sample in samples for ids in sample['inputs']['text_ids']]
    assert len(rows) == 8 and inputs['text_lengths'] == inputs['text_mask'].sum(1).tolist()


def test_mixtures_are_refused_with_names() -> None:
    strict, weak = packed(EmojiStrict, 2), packed(EmojiWeak, 2)
    with pytest.raises(ValueError, match=r'one source.*strict') as failure:
        vl_collate([*strict, *weak])
    assert "'weak'" in str(failure.value)
    del strict[1]['inputs']['roi_features']
    with pytest.raises(ValueError, match=r"one set of keys.*'emoji-easy-train-\w+-000001': \['image', 'iteration'"):
        vl_collate(strict)
    with pytest.raises(ValueError, match='one source'):
        vl_collate([])


@pytest.mark.parametrize('order', [range(12), (5, 0, 9, 4, 1, 11, 2)])
def test_shared_images_come_once_and_items_know_theirs(order: Any) -> None:
    steps: list[Any] = [RoiPixels(4), Tokenize('emoji'), PackVLInputs()]
    questions = EmojiVQA(num_items=12, languages=('en',), image_size=32, pipeline=steps)
    samples = [questions[index] for index in order]
    whole, shared = vl_collate(samples)['inputs'], vl_collate(samples, share_images=True)['inputs']
    index = shared.pop('image_index')
    assert len(index) == len(samples) and len(shared['image']) == 3 == len(set(index.tolist()))
    assert list(dict.fromkeys(index.tolist())) == [0, 1, 2]
    for key, value in whole.items():
        if key in ('image', 'roi_features', 'roi_boxes', 'roi_mask'):
            assert torch.equal(shared[key][index], value), key
        else:
            assert torch.equal(shared[key], value) if isinstance(value, torch.Tensor) else shared[key] == value, key
    assert set(shared) == set(whole)


@pytest.mark.parametrize('order', [range(8), (40, 3, 7, 21)])
def test_pairs_that_have_images_in_common_share_them(order: Any) -> None:
    steps: list[Any] = [EachImage([RoiPixels(4)]), Tokenize('emoji'), PackVLInputs()]
    pairs = EmojiPairs(num_items=48, languages=('en',), image_size=32, pipeline=steps)
    samples = [pairs[index] for index in order]
    whole, shared = vl_collate(samples)['inputs'], vl_collate(samples, share_images=True)['inputs']
    index = shared.pop('image_index')
    names = [name for sample in samples for name in sample['data_samples'].image_ids]
    assert len(shared['image']) == len(set(names)) < len(index) == 2 * len(samples) == len(whole['image'])
    for key in ('image', 'roi_features', 'roi_boxes', 'roi_mask'):
        assert torch.equal(shared[key][index], whole[key]), key
    assert shared['images_per_item'] == 2 and set(shared) == set(whole)
    assert all(torch.equal(shared[key], whole[key]) for key in ('text_ids', 'text_mask', 'label'))
