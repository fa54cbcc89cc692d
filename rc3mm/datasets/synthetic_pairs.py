"""Images and texts of given sizes without any meaning: what benchmarks are run on where no data are at hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rc3mm.datasets.base import VLDataset
from rc3mm.registry import DATASETS
from rc3mm.structures import Draw

__all__ = ['MULTI30K_LENGTHS', 'SyntheticPairs']

# Twenty quantiles of the captions' lengths in Multi30K's validation set (en, de, fr, cs; 1,014 each): words, by 1.3
# tokens a word, which is about what XLM-R's tokenizer makes of such captions, and two special tokens.
MULTI30K_LENGTHS = (8, 10, 11, 12, 12, 14, 14, 15, 15, 15, 16, 16, 18, 19, 19, 20, 22, 23, 24, 28)

START, END, FIRST_WORD = 0, 2, 10  # as XLM-R has them; nothing below FIRST_WORD is an ordinary word


@DATASETS.register_module()
class SyntheticPairs(VLDataset):
    """An image, regions and texts of random content an item; the same whenever an item is asked for.

    Args:
        source: name of the data source: 'strict' and 'weak' have images, 'parallel' has none.
        num_items: length of the dataset.
        texts: texts an item.
        image_size: side of the square images in pixels; 0 for none.
        regions: regions an item; 0 for none.
        feature_dim: width of a region's features.
        num_classes: classes of the detector and the background, for class distributions; 0 for none.
        caption_lengths: tokens of a text, special ones included, each as likely as the others.
        vocab_size: token ids are below it.
        seed: seed of the content.
        pipeline: transforms behind; `MaskTokens`, `PackVLInputs`.

    Raises:
        ValueError: a text of fewer than three tokens.
    """

    def __init__(
        self,
        source: str = 'strict',
        num_items: int = 4096,
        texts: int = 2,
        image_size: int = 224,
        regions: int = 0,
        feature_dim: int = 2048,
        num_classes: int = 0,
        caption_lengths: Sequence[int] = MULTI30K_LENGTHS,
        vocab_size: int = 250_002,
        seed: int = 0,
        pipeline: Sequence[dict] = (),
    ) -> None:
        super().__init__(seed=seed, pipeline=pipeline)
        if min(caption_lengths) < 3:
            raise ValueError(f'a text has a start, a word and an end at least; got caption_lengths={caption_lengths}')
        self.source, self.num_items, self.texts = source, num_items, texts
        self.image_size, self.regions, self.feature_dim, self.num_classes = (
            image_size,
            regions,
            feature_dim,
            num_classes,
        )
        self.caption_lengths, self.vocab_size = tuple(caption_lengths), vocab_size

    @property
    def metainfo(self) -> dict[str, Any]:
        """See `VLDataset`."""
        return {
            'dataset_name': 'synthetic pairs',
            'split': 'train',
            'languages': ('none',),
            'num_items': self.num_items,
        }

    def __len__(self) -> int:
        return self.num_items

    def lengths(self, draws: Sequence[Draw]) -> np.ndarray:
        """See `VLDataset`."""
        return np.array([max(self._text_lengths(self._rng(draw.index))) for draw in draws], np.int64)

    def get_sample(self, index: int) -> dict[str, Any]:
        """See `VLDataset`."""
        rng = self._rng(index)
        sample: dict[str, Any] = {
            'image_id': f'{self.source}{index}',
            'source': self.source,
            'texts': [('none', '')] * self.texts,
            'text_ids': [self._ids(length, rng) for length in self._text_lengths(rng)],
            'relevance': float(rng.random()),
        }
        if self.image_size:
            sample['image'] = rng.integers(256, size=(self.image_size, self.image_size, 3), dtype=np.uint8)
        if self.regions:
            corners = np.sort(rng.random((self.regions, 2, 2)), axis=1) * max(self.image_size, 1)
            sample['roi_boxes'] = corners.reshape(self.regions, 4).astype(np.float32)
            sample['roi_features'] = rng.random((self.regions, self.feature_dim), dtype=np.float32)
        if self.regions and self.num_classes:
            sample['roi_class_probs'] = rng.dirichlet(np.ones(self.num_classes), self.regions).astype(np.float32)
        return sample

    def _rng(self, index: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, index))

    def _text_lengths(self, rng: np.random.Generator) -> list[int]:
        return rng.choice(self.caption_lengths, size=self.texts).tolist()

    def _ids(self, length: int, rng: np.random.Generator) -> np.ndarray:
        words = rng.integers(FIRST_WORD, self.vocab_size, size=length - 2)
        return np.concatenate([[START], words, [END]]).astype(np.int64)
