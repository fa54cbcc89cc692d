"""One caption of an image that has several, another one each time."""

from typing import Any

from rc3mm.registry import TRANSFORMS

__all__ = ['PickCaption']


@TRANSFORMS.register_module()
class PickCaption:
    """Keep one text of a sample: first a language is drawn, all being equally likely, then one of its texts.

    For training on retrieval benchmarks, whose samples are images with all captions. An epoch is then one caption an
    image, a fifth of an epoch over all pairs where there are five captions: count iterations, or five times the epochs.

    Required keys: `texts`, `rng`. Modified keys: `texts`.
    """

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Draw a text."""
        rng, texts = sample['rng'], sample['texts']
        languages = list(dict.fromkeys(language for language, _ in texts))
        language = languages[int(rng.integers(len(languages)))]
        choices = [text for text in texts if text[0] == language]
        return {**sample, 'texts': [choices[int(rng.integers(len(choices)))]]}
