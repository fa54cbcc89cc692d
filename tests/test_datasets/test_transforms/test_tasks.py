"""Transforms of tasks: several images, targets, controls."""

from typing import Any

import numpy as np
import pytest

from rc3mm.datasets import (
    Conceal,
    EachImage,
    MaskSource,
    PackVLInputs,
    RoiPixels,
    Tokenize,
    TokenizeTarget,
    vl_collate,
)
from rc3mm.datasets.emoji_composed_tasks import EmojiPairs, EmojiTranslation
from rc3mm.datasets.emoji_tasks import EmojiVQA

WORLD: dict[str, Any] = dict(num_concepts=60, image_size=32)


def test_each_image_is_transformed_as_if_alone() -> None:
    pairs = EmojiPairs(num_items=48, **WORLD)
    both = EachImage([dict(type='RoiPixels')])({**pairs.get_sample(3), 'rng': np.random.default_rng(0)})
    for image, plain in zip(both['images'], pairs.get_sample(3)['images'], strict=True):
        assert np.array_equal(image['roi_features'], RoiPixels()(plain)['roi_features'])


def test_two_images_an_item_travel_together() -> None:
    steps = [EachImage([RoiPixels()]), Tokenize('emoji'), PackVLInputs()]
    pairs = EmojiPairs(num_items=48, languages=('fr',), pipeline=steps, **WORLD)
    batch = vl_collate([pairs[index] for index in range(4)])
    inputs = batch['inputs']
    assert inputs['images_per_item'] == 2 and inputs['image'].shape == (8, 3, 32, 32)
    assert inputs['roi_features'].shape[0] == inputs['roi_mask'].shape[0] == 8 and len(inputs['text_ids']) == 4
    assert inputs['label'].tolist() == [pairs.get_sample(index)['label'] for index in range(4)]
    for row, image in enumerate(image for index in range(4) for image in pairs.get_sample(index)['images']):
        assert np.array_equal(inputs['image'][row].permute(1, 2, 0).numpy(), image['image'])
    samples = batch['data_samples']
    assert samples[0].group == samples[3].group and samples[0].item_id == 'fr-train-000000'


def test_items_with_one_and_with_two_images_do_not_mix() -> None:
    steps = [Tokenize('emoji'), PackVLInputs()]
    one = EmojiVQA(num_items=4, pipeline=steps, **WORLD)[0]
    two = EmojiPairs(num_items=48, pipeline=steps, **WORLD)[0]
    one['data_samples'].set_metainfo(dict(source='nlvr2'))
    one['inputs'].pop('image')
    with pytest.raises(ValueError, match=r'equally many images.*0, 2'):
        vl_collate([one, two])


def test_concealed_parts_are_the_same_for_all() -> None:
    questions, pairs = EmojiVQA(num_items=8, **WORLD), EmojiPairs(num_items=48, **WORLD)
    hide_image, hide_text = Conceal('image'), Conceal('text')
    grey = [hide_image(questions.get_sample(index)) for index in range(8)]
    assert all((sample['image'] == 128).all() and len(sample['roi_boxes']) == 0 for sample in grey)
    assert grey[1]['texts'] == questions.get_texts(1)
    assert all((image['image'] == 128).all() for image in hide_image(pairs.get_sample(0))['images'])
    mute = [hide_text(questions.get_sample(index)) for index in range(8)]
    assert {sample['texts'][0][1] for sample in mute} == {'?'}
    assert np.array_equal(mute[2]['image'], questions.get_sample(2)['image'])
    sample = questions.get_sample(0)
    assert Conceal('nothing')(sample) is sample
    with pytest.raises(ValueError, match="got 'sound'"):
        Conceal('sound')
    with pytest.raises(KeyError, match='behind DecodeImage'):
        hide_image({'image_id': 'x', 'image_path': 'x.jpg'})


def test_targets_have_start_tag_and_end() -> None:
    dataset = EmojiTranslation(num_items=8, target_languages=('de', 'fr', 'cs'), **WORLD)
    plain, tagged = TokenizeTarget('emoji'), TokenizeTarget('emoji', tags=('de', 'fr', 'cs'))
    tags = set()
    for index in (0, 8, 16):
        without = plain(dataset.get_sample(index))['target_ids'].tolist()
        ids = tagged(dataset.get_sample(index))['target_ids'].tolist()
        assert [ids[0], *ids[2:]] == without
        assert ids[0] == plain.tokenizer.cls_token_id and ids[-1] == plain.tokenizer.sep_token_id
        text = dataset.get_sample(index)['target'][1].replace('\xa0', ' ')  # which this tokenizer takes for a space
        assert plain.tokenizer.decode(without, skip_special_tokens=True) == text
        tags.add(ids[1])
    assert len(tags) == 3
    with pytest.raises(ValueError, match=r"to be written in de; tags are \['fr'\]"):
        TokenizeTarget('emoji', tags=('fr',))(dataset.get_sample(0))
    with pytest.raises(ValueError, match='with the same token'):
        TokenizeTarget('emoji', tags=('de', 'de '))


def test_long_targets_keep_their_end() -> None:
    sample = {'item_id': 'x', 'target': ('de', 'Hund ' * 50)}
    ids = TokenizeTarget('emoji', max_length=10, tags=('de',))(sample)['target_ids']
    assert len(ids) == 11 and ids[-1] == TokenizeTarget('emoji').tokenizer.sep_token_id


def test_masked_words_keep_their_places_and_the_ends_stay() -> None:
    dataset = EmojiTranslation(num_items=40, **WORLD)
    hidden = real = 0
    for index in range(40):
        sample = {**Tokenize('emoji')(dataset.get_sample(index)), 'rng': np.random.default_rng(index)}
        whole = sample['text_ids'][0].copy()
        mask = MaskSource('emoji', 0.3)
        (some,), (none,) = mask(sample)['text_ids'], MaskSource('emoji', 0.0)(sample)['text_ids']
        (all_,) = MaskSource('emoji', 1.0)(sample)['text_ids']
        assert np.array_equal(sample['text_ids'][0], whole) and np.array_equal(none, whole)
        assert set(all_[1:-1].tolist()) == {mask.mask_id} and all_[[0, -1]].tolist() == whole[[0, -1]].tolist()
        assert ((some == whole) | (some == mask.mask_id)).all() and some[[0, -1]].tolist() == whole[[0, -1]].tolist()
        hidden, real = hidden + int((some == mask.mask_id).sum()), real + len(whole) - 2
    assert abs(hidden / real - 0.3) < 0.06
    with pytest.raises(ValueError, match=r'in \[0, 1\], got 1.5'):
        MaskSource('emoji', 1.5)
