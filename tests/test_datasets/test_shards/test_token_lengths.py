"""Lengths in tokens: as the tokenizer gives them, and never those of another tokenizer."""

from pathlib import Path

from rc3mm.datasets import Tokenize
from rc3mm.datasets.shards.token_lengths import find_token_lengths, tokenizer_key, write_token_lengths
from rc3mm.datasets.tokenizers import EMOJI_TOKENIZER, load_tokenizer
from tests.test_datasets.test_shards.making import make_set, record


def test_lengths_are_those_of_the_tokenizer(tmp_path: Path) -> None:
    shards = make_set(tmp_path, [record(k) for k in range(21)])
    tokenize = Tokenize('emoji', max_length=8)
    assert find_token_lengths(shards, tokenize) is None
    told: list[int] = []
    path = write_token_lengths(shards, tokenize, told.append)
    texts = [text for k in range(21) for _, text in record(k).texts]
    lengths = find_token_lengths(shards, Tokenize('emoji', max_length=99))
    assert lengths is not None and path.parent == tmp_path / 'index' and sum(told) == len(texts)
    assert lengths.tolist() == [len(ids) for ids in Tokenize('emoji', max_length=10**6).encode(texts)]
    assert lengths.max() > 8


def test_another_tokenizer_has_lengths_of_its_own(tmp_path: Path) -> None:
    shards = make_set(tmp_path / 'set', [record(0)])
    changed = load_tokenizer('emoji').from_pretrained(EMOJI_TOKENIZER)
    changed.add_tokens(['violin, 1'])
    changed.save_pretrained(tmp_path / 'changed')
    own, same, other = (
        Tokenize('emoji'),
        Tokenize(str(EMOJI_TOKENIZER), max_length=5),
        Tokenize(str(tmp_path / 'changed')),
    )
    assert tokenizer_key(own) == tokenizer_key(same) != tokenizer_key(other)
    write_token_lengths(shards, own)
    assert find_token_lengths(shards, same) is not None
    assert find_token_lengths(shards, other) is None
