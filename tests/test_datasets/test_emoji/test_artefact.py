"""The artefact is whole, licensed and drawable."""

import json
from pathlib import Path

import numpy as np
import pytest

from rc3mm.datasets.emoji import artefact

DATA = Path(artefact.__file__).parent / 'data'


def test_checksums_hold() -> None:
    assert artefact.verify() >= 9


@pytest.mark.parametrize('name', ['Apache-2.0', 'CC-BY-4.0', 'MIT-Fluent', 'Unicode'])
def test_licences_are_there(name: str) -> None:
    text = (DATA / 'LICENSES' / f'{name}.txt').read_text(encoding='utf-8')
    assert len(text) > 300
    assert f'LICENSES/{name}.txt' in (DATA / 'ATTRIBUTION.md').read_text(encoding='utf-8')


def test_files_are_small() -> None:
    sizes = [p.stat().st_size for p in DATA.rglob('*') if p.is_file()]
    assert max(sizes) < 2 << 20 and sum(sizes) < 6 << 20


def test_names_are_unique_and_complete() -> None:
    concepts = artefact.load_concepts()
    assert len(concepts) > 1000
    for language in artefact.LANGUAGES:
        names = [concept.names[language].casefold() for concept in concepts]
        assert len(set(names)) == len(names) and all(names)
        assert all(concept.keywords[language] for concept in concepts)
        assert not any(mark in name for name in names for mark in ':;,.、，。：；')


@pytest.mark.parametrize('style', artefact.STYLES)
def test_every_concept_is_drawn_in_every_style(style: str) -> None:
    for concept in range(artefact.num_concepts()):
        alpha = artefact.artwork(style, concept)[..., 3]
        assert (alpha > 128).mean() > 0.02, artefact.load_concepts()[concept]


@pytest.mark.parametrize('style', artefact.STYLES)
def test_first_concepts_look_different(style: str) -> None:
    tiny = np.stack(
        [artefact.artwork(style, c).astype(float).reshape(8, 8, 8, 8, 4).mean(axis=(1, 3)).ravel() for c in range(150)]
    )
    distance = np.abs(tiny[:, None] - tiny[None]).mean(-1) + 1e3 * np.eye(150)
    assert distance.min() > 5


def test_sprites_are_premultiplied_within_range() -> None:
    sprite = artefact.scaled_sprite('twemoji', 3, 29)
    white = 255 * sprite.keep.astype(int) // 256 + sprite.premultiplied
    assert sprite.premultiplied.shape == (29, 29, 3) and white.max() <= 255
    assert artefact.scaled_sprite('twemoji', 3, 29) is sprite


def test_errors_are_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match='unknown artwork style'):
        artefact.load_atlas('crayon')
    with pytest.raises(IndexError, match='range'):
        artefact.artwork('noto', 10**6)
    with pytest.raises(ValueError, match='languages'):
        artefact.check_languages(('en', 'xx'))
    (tmp_path / 'manifest.json').write_text(json.dumps({'sha256': {'a.txt': '0' * 64}}))
    (tmp_path / 'a.txt').write_text('changed')
    monkeypatch.setattr(artefact, '_DATA', tmp_path)
    monkeypatch.setattr(artefact, '_PACKAGE', tmp_path)
    with pytest.raises(ValueError, match=r'a\.txt has SHA-256'):
        artefact.verify()
    (tmp_path / 'a.txt').unlink()
    with pytest.raises(FileNotFoundError, match=r'a\.txt of EmojiScenes is missing'):
        artefact.verify()
