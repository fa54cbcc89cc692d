"""The relevance that a synthetic world knows, as a training signal: the upper bound of an ablation."""

from typing import Any

from rc3mm.registry import TRANSFORMS

__all__ = ['KnownRelevance']


@TRANSFORMS.register_module()
class KnownRelevance:
    """Take `true_relevance` for the relevance of the pair, in place of a scorer. No real corpus has it.

    Required keys: `true_relevance`. Added keys: `relevance` (float in [0, 1]).
    """

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Copy the number.

        Raises:
            KeyError: the sample comes from a corpus without it.
        """
        if 'true_relevance' not in sample:
            raise KeyError(
                f'{sample.get("image_id")} has no `true_relevance`: only synthetic pairs (EmojiWeak) know it; use '
                '`ScoreRelevance`'
            )
        sample['relevance'] = float(sample['true_relevance'])
        return sample
