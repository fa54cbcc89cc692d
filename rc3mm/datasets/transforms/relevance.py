"""Textual relevance of weak pairs, computed on the fly by a registered scorer."""

from typing import Any

from rc3mm.registry import RELEVANCE_SCORERS, TRANSFORMS

__all__ = ['ScoreRelevance']


@TRANSFORMS.register_module()
class ScoreRelevance:
    """Score how much the sample's two texts say the same.

    For small corpora; large ones are scored once, offline, and carry their scores.

    Required keys: `texts` (two). Added keys: `relevance` (float in [0, 1]).

    Args:
        scorer: config of a relevance scorer.
    """

    def __init__(self, scorer: dict) -> None:
        self.scorer = RELEVANCE_SCORERS.build(scorer)

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Score the sample's pair of texts."""
        if len(sample['texts']) != 2:
            raise ValueError(f'relevance is defined for two texts; {sample["image_id"]} has {len(sample["texts"])}')
        first, second = sample['texts']
        sample['relevance'] = float(self.scorer.score([first], [second])[0])
        return sample
