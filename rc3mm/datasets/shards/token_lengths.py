"""Lengths of a set's texts in tokens, measured once, so that nobody has to read texts to batch them by length."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from rc3mm.datasets.shards.checksums import checksum
from rc3mm.datasets.shards.index import INDEX, LONGEST, ArrayWriter, map_array
from rc3mm.datasets.shards.manifest import write_json
from rc3mm.datasets.shards.shard_set import ShardSet
from rc3mm.datasets.transforms.text import Tokenize

__all__ = ['find_token_lengths', 'tokenizer_key', 'write_token_lengths']

# A text that tokenizers cut differently: their ids for it tell them apart.
_PROBE = (
    'Two dogs chase a violin, 1,024 m away. Zwei Hunde jagen eine Straßenbahn. Deux élèves, l’été, à Noël. '
    'Příliš žluťoučký kůň. 二匹の犬がヴァイオリンを追う。两只狗在追一辆自行车。 Кошка — γάτα — قط — बिल्ली 🎻'
)
_BATCH = 4096  # rows


def tokenizer_key(tokenize: Tokenize) -> str:
    """16 hexadecimal digits that stand for a tokenizer, whatever the length it cuts at."""
    ids = tokenize.tokenizer(_PROBE)['input_ids']
    return hashlib.blake2b(f'{len(tokenize.tokenizer)} {ids}'.encode(), digest_size=8).hexdigest()


def find_token_lengths(shard_set: ShardSet, tokenize: Tokenize) -> np.ndarray | None:
    """Number of tokens of every text before it is cut, special tokens included.

    Returns:
        uint16 array, shape (texts,), mapped; None if they were not measured with this tokenizer.
    """
    path = _path(shard_set, tokenize)
    return map_array(path, np.uint16, shard_set.manifest.texts) if path.is_file() else None


def write_token_lengths(
    shard_set: ShardSet, tokenize: Tokenize, progress: Callable[[int], object] | None = None
) -> Path:
    """Measure all texts of a set with a tokenizer; the lengths are kept in the set's index, with a checksum.

    Args:
        shard_set: the set.
        tokenize: the tokenizer.
        progress: called with the number of texts after every few thousand.

    Returns:
        The path of the array.
    """

    def parts() -> Iterator[np.ndarray]:
        texts: list[str] = []
        for number, record in enumerate(shard_set.iter_records(image=False), start=1):
            texts += (text for _, text in record.texts)
            if number % _BATCH == 0 or number == len(shard_set):
                encoded = tokenize.tokenizer(texts, truncation=False, return_attention_mask=False, verbose=False)
                yield np.array([min(len(ids), LONGEST) for ids in encoded['input_ids']], np.uint16)
                if progress:
                    progress(len(texts))
                texts = []

    path = _path(shard_set, tokenize)
    ArrayWriter(path, np.uint16, shard_set.manifest.texts).write(parts())
    write_json(path.with_suffix('.json'), dataclasses.asdict(checksum(shard_set.folder, path)))
    return path


def _path(shard_set: ShardSet, tokenize: Tokenize) -> Path:
    return shard_set.folder / INDEX / f'tokens-{tokenizer_key(tokenize)}.npy'
