"""Tokenizers by name."""

from pathlib import Path

import pytest

from rc3mm.datasets.tokenizers import EMOJI_TOKENIZER, load_tokenizer


def test_one_instance_by_name_and_the_same_from_a_folder() -> None:
    assert load_tokenizer('emoji') is load_tokenizer('emoji')
    assert load_tokenizer(str(EMOJI_TOKENIZER)).get_vocab() == load_tokenizer('emoji').get_vocab()


def test_a_missing_tokenizer_says_how_to_get_it(tmp_path: Path) -> None:
    missing = str(tmp_path / 'none')
    with pytest.raises(FileNotFoundError, match=r'none".*Download it.*hf download .*none --local-dir.*`tokenizer`'):
        load_tokenizer(missing)
    (tmp_path / 'none').mkdir()
    with pytest.raises(FileNotFoundError, match='set `tokenizer` to that folder'):
        load_tokenizer(missing)
