"""Transforms of texts: token ids and masked inputs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rc3mm.datasets.tokenizers import load_tokenizer
from rc3mm.registry import TRANSFORMS

__all__ = ['MaskTokens', 'Tokenize']

_CUT = {'stride': 0, 'strategy': 'longest_first'}


@TRANSFORMS.register_module()
class Tokenize:
    """Texts -> token ids with special tokens.

    Required keys: `texts`. Added keys: `text_ids` (list of int64 arrays, one a text).

    Args:
        tokenizer: see `load_tokenizer`.
        max_length: longer texts are cut, the end token kept.
    """

    def __init__(self, tokenizer: str, max_length: int = 80) -> None:
        self.tokenizer = load_tokenizer(tokenizer)
        self.max_length = max_length

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Tokenise the sample's texts."""
        texts = [text for _, text in sample['texts']]
        sample['text_ids'] = [np.asarray(ids, dtype=np.int64) for ids in self.encode(texts)]
        return sample

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text."""
        if not texts:
            return []
        rust = getattr(self.tokenizer, 'backend_tokenizer', None)
        if rust is None:  # a tokenizer in Python
            return self.tokenizer(list(texts), truncation=True, max_length=self.max_length)['input_ids']
        # What the tokenizer's own call does, less the wrapping of what comes out. The instance is shared: others may
        # have told it to cut elsewhere, or to pad.
        cut = {'max_length': self.max_length, 'direction': self.tokenizer.truncation_side} | _CUT
        if rust.truncation != cut:
            rust.enable_truncation(**cut)
        if rust.padding is not None:
            rust.no_padding()
        return [encoding.ids for encoding in rust.encode_batch_fast(list(texts))]


@TRANSFORMS.register_module()
class MaskTokens:
    """Masked copies of the texts, for MLM, VTLM and TLM (80 % mask token, 10 % random token, 10 % unchanged).

    Required keys: `text_ids`, `rng`. Added keys: `masked_single` and/or `masked_pair`, each a dictionary of
    `ids` (int64), `positions` (int64, at least one unless the text is empty) and `labels` (int64).

    Args:
        tokenizer: see `load_tokenizer`.
        kinds: `single` (one text of the sample, drawn at random, in a sequence of its own) and/or `pair` (the
            first two texts in one sequence).
        probability: share of the ordinary tokens that are masked; at least one always is.
        max_masked: upper bound a sequence, at least 1, or None.

    Raises:
        ValueError: an unknown kind, a probability outside (0, 1], `max_masked` below 1, a tokenizer without a
            mask token, or one whose pairs cannot be joined from two single texts.
    """

    def __init__(
        self,
        tokenizer: str,
        kinds: Sequence[str] = ('single',),
        probability: float = 0.15,
        max_masked: int | None = None,
    ) -> None:
        if not set(kinds) <= {'single', 'pair'} or not kinds:
            raise ValueError(f'kinds must be among single and pair, got {tuple(kinds)}')
        if not 0 < probability <= 1:
            raise ValueError(f'probability must be in (0, 1], got {probability}')
        if max_masked is not None and max_masked < 1:
            raise ValueError(f'max_masked must be at least 1, or None for no bound, got {max_masked}')
        self.kinds = tuple(kinds)
        self.probability = probability
        self.max_masked = max_masked
        loaded = load_tokenizer(tokenizer)
        if loaded.mask_token_id is None:
            raise ValueError(f'the tokenizer "{tokenizer}" has no mask token')
        self.mask_id: int = loaded.mask_token_id
        self.special = np.array(sorted(loaded.all_special_ids), dtype=np.int64)
        self.ordinary = np.setdiff1d(np.arange(len(loaded), dtype=np.int64), self.special)
        # XLM-R joins a pair with two end tokens, BERT with one; ask the tokenizer which.
        single = loaded('a', return_special_tokens_mask=True)
        one = single['input_ids']
        joined = loaded('a', 'a')['input_ids']
        joint = joined[len(one) : len(joined) - (len(one) - 1)]
        exact = single['special_tokens_mask'][:2] == [1, 0] and [*one, *joint, *one[1:]] == joined
        if 'pair' in self.kinds and not exact:
            raise ValueError(f'the tokenizer "{tokenizer}" marks pairs in an unknown way; leave `pair` out of kinds')
        self.joint = np.asarray(joint, dtype=np.int64)

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Mask the sample's texts."""
        ids, rng = sample['text_ids'], sample['rng']
        if 'single' in self.kinds:
            sample['masked_single'] = self._mask(ids[int(rng.integers(len(ids)))], rng)
        if 'pair' in self.kinds:
            if len(ids) < 2:
                raise ValueError(f'masking a pair needs two texts; sample {sample["image_id"]} has {len(ids)}')
            sample['masked_pair'] = self._mask(np.concatenate([ids[0], self.joint, ids[1][1:]]), rng)
        return sample

    def _mask(self, ids: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        candidates = np.flatnonzero(~np.isin(ids, self.special))
        if len(candidates) == 0:  # nothing but special tokens: an empty text teaches nothing
            empty = np.empty(0, dtype=np.int64)
            return {'ids': ids.copy(), 'positions': empty, 'labels': empty}
        count = max(1, round(len(candidates) * self.probability))
        if self.max_masked is not None:
            count = min(count, self.max_masked)
        positions = np.sort(rng.choice(candidates, size=count, replace=False))
        masked = ids.copy()
        fate = rng.random(count)
        masked[positions[fate < 0.8]] = self.mask_id
        replaced = positions[fate >= 0.9]
        masked[replaced] = self.ordinary[rng.integers(len(self.ordinary), size=len(replaced))]
        return {'ids': masked, 'positions': positions, 'labels': ids[positions]}
