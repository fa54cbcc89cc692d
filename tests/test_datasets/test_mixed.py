"""Several sources behind one dataset: each draw goes to its own."""

import numpy as np
import pytest

from rc3mm.datasets import EmojiRetrieval, EmojiStrict, EmojiWeak, MixedSources
from rc3mm.registry import DATASETS
from rc3mm.structures import Draw


def test_draws_reach_their_source_with_their_seed_and_iteration() -> None:
    keep = [lambda sample: {**sample, 'drawn': sample['rng'].random()}]
    strict = EmojiStrict(num_scenes=5, image_size=32, pipeline=keep)
    weak = EmojiWeak(num_scenes=7, image_size=32, seed=4, pipeline=keep)
    dataset = MixedSources({'first': strict, 'second': weak})
    assert dataset.names == ['first', 'second'] and dataset.sizes == [5, 7] and len(dataset) == 12
    draws = [Draw(4, (1, 2), 0, 30, 99), Draw(4, (1, 3), 1, 30, 99), Draw(4, (1, 2), 1, 30, 99)]
    samples = dataset[draws]
    for draw, sample in zip(draws, samples, strict=True):
        alone = (strict, weak)[draw.source].get_sample(4)
        assert sample['source'] == alone['source'] and sample['texts'] == alone['texts']
        assert (sample['image'] == alone['image']).all()
        assert sample['drawn'] == np.random.default_rng(draw.seed).random()
        assert (sample['iteration'], sample['step_seed']) == (30, 99)
    assert dataset[[]] == []


def test_built_from_configs_and_described_by_name() -> None:
    config = dict(type='EmojiStrict', num_scenes=5, image_size=32)
    dataset = DATASETS.build(dict(type='MixedSources', sources=dict(a=config, b={**config, 'num_scenes': 3})))
    assert dataset.sizes == [5, 3]
    assert {name: info['num_items'] for name, info in dataset.metainfo.items()} == {'a': 5, 'b': 3}
    assert config['type'] == 'EmojiStrict'  # building takes nothing out of the config


def test_no_source_or_an_empty_one_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match='at least one source'):
        MixedSources({})
    with pytest.raises(ValueError, match=r"no empty one; empty: \['none'\]"):
        MixedSources({'some': EmojiRetrieval(num_scenes=2), 'none': []})
