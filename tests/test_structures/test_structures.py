"""What travels: draws, visual forms and data samples survive the trip between processes."""

import pickle

import numpy as np
import pytest
import torch

from rc3mm.structures import Draw, VisualForm, VLDataSample


def test_a_draw_travels_to_a_worker_and_seeds_numpy() -> None:
    draw = Draw(10**12, (7, 3, 0, 10**12), source=2, iteration=5, step_seed=9)
    again = pickle.loads(pickle.dumps(draw))
    assert again == draw and type(again) is Draw
    first, second = (np.random.default_rng(d.seed).random(4) for d in (draw, again))
    assert (first == second).all()
    assert Draw(3, (0,)).iteration is None, 'a draw is of training only if it says so'


def test_visual_forms_are_the_strings_of_configs() -> None:
    assert [VisualForm(name) for name in ('roi', 'patch', 'both')] == list(VisualForm)
    assert f'{VisualForm.BOTH}' == 'both' and VisualForm.ROI == 'roi'
    with pytest.raises(ValueError, match='split'):
        VisualForm('split')


def test_a_data_sample_keeps_meta_and_data_apart_when_it_moves() -> None:
    sample = VLDataSample(metainfo=dict(image_id='a', source='weak', texts=[('en', 'cat')], true_relevance=0.5))
    sample.text_embeddings = torch.ones(1, 3)
    moved = pickle.loads(pickle.dumps(sample)).to(torch.float64)
    assert moved.text_embeddings.dtype == torch.float64
    assert moved.keys() == ['text_embeddings']
    assert moved.metainfo == dict(image_id='a', source='weak', texts=[('en', 'cat')], true_relevance=0.5)
    with pytest.raises(AttributeError, match='image_id'):
        moved.image_id = 'b'
