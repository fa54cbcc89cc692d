"""A sentence encoder with tiny random weights."""

from pathlib import Path

import pytest

from tests.sentence_encoder import make_encoder


@pytest.fixture(scope='session')
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder(tmp_path_factory.mktemp('encoder'))
