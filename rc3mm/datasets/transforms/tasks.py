"""Transforms of downstream tasks: several images an item, targets to write, and what is concealed in controls."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rc3mm.datasets.tokenizers import load_tokenizer
from rc3mm.datasets.transforms.regions import check_detector_sees_all
from rc3mm.registry import TRANSFORMS

__all__ = ['Conceal', 'EachImage', 'TokenizeTarget']


@TRANSFORMS.register_module()
class EachImage:
    """Transforms applied to each image of an item that has several.

    Required keys: `images` (samples of one image each); `rng` and what else the transforms ask for is handed on.

    Args:
        transforms: configs or callables, such as those of a pipeline for one image.
    """

    def __init__(self, transforms: Sequence[Any]) -> None:
        self.transforms = [TRANSFORMS.build(step) if isinstance(step, dict) else step for step in transforms]
        check_detector_sees_all(self.transforms)

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Transform the sample's images."""
        images = []
        for image in sample['images']:
            image = {**image, 'rng': sample['rng']}
            for transform in self.transforms:
                image = transform(image)
            images.append(image)
        return {**sample, 'images': images}


@TRANSFORMS.register_module()
class Conceal:
    """Take the image or the text away, for controls: what can be answered without it?

    The image becomes grey and loses its boxes; every text becomes the same word. Put it before all other transforms of
    image and text, behind `DecodeImage`.

    Modified keys: `image` and `roi_boxes` (also in `images`), or `texts`.

    Args:
        what: `image`, `text`, or `nothing`, which leaves a place in a pipeline where an option can say more.
        word: what is said instead of the text.

    Raises:
        ValueError: an unknown `what`.
    """

    def __init__(self, what: str, word: str = '?') -> None:
        if what not in ('image', 'text', 'nothing'):
            raise ValueError(f"Conceal takes what='image', 'text' or 'nothing', got {what!r}")
        self.what, self.word = what, word

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Conceal."""
        if self.what == 'nothing':
            return sample
        if self.what == 'text':
            return {**sample, 'texts': [(language, self.word) for language, _ in sample['texts']]}
        if 'images' in sample:
            return {**sample, 'images': [self._grey(image) for image in sample['images']]}
        return self._grey(sample)

    @staticmethod
    def _grey(sample: dict[str, Any]) -> dict[str, Any]:
        if 'image' not in sample:
            raise KeyError(f'Conceal needs pixels; put it behind DecodeImage (sample {sample.get("image_id")})')
        grey = {**sample, 'image': np.full_like(sample['image'], 128)}
        if 'roi_boxes' in sample:
            grey['roi_boxes'] = np.zeros((0, 4), np.float32)
        return grey


@TRANSFORMS.register_module()
class MaskSource:
    """Mask tokens of the texts, so that the image must tell what the words do not (Caglayan et al. 2019).

    For the training of models that would learn to read and not to look. Put it behind `Tokenize`.

    Modified keys: `text_ids`. Required keys: `rng`.

    Args:
        tokenizer: see `load_tokenizer`.
        probability: that an ordinary token is masked.

    Raises:
        ValueError: a probability outside [0, 1], or a tokenizer without a mask token.
    """

    def __init__(self, tokenizer: str, probability: float) -> None:
        if not 0 <= probability <= 1:
            raise ValueError(f'probability must be in [0, 1], got {probability}')
        loaded = load_tokenizer(tokenizer)
        if loaded.mask_token_id is None:
            raise ValueError(f'the tokenizer "{tokenizer}" has no mask token')
        self.probability, self.mask_id = probability, loaded.mask_token_id
        self.special = np.array(sorted(loaded.all_special_ids), dtype=np.int64)

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Mask the sample's texts."""
        masked = []
        for ids in sample['text_ids']:
            hidden = (sample['rng'].random(len(ids)) < self.probability) & ~np.isin(ids, self.special)
            masked.append(np.where(hidden, self.mask_id, ids))
        return {**sample, 'text_ids': masked}


@TRANSFORMS.register_module()
class TokenizeTarget:
    """The text to be written -> token ids: start, the language's tag if there are tags, the text, end.

    A tag is the first token of the language's code (`de`), so that any tokenizer has tags and none need be added.

    Required keys: `target`, a (language, text) pair. Added keys: `target_ids` (int64).

    Args:
        tokenizer: see `load_tokenizer`.
        max_length: longer texts are cut, the end token kept; without the tag.
        tags: languages that are told apart by a tag; empty for a model that writes one language.

    Raises:
        ValueError: two languages have the same tag, or a target's language has none.
    """

    def __init__(self, tokenizer: str, max_length: int = 80, tags: Sequence[str] = ()) -> None:
        self.tokenizer = load_tokenizer(tokenizer)
        self.max_length = max_length
        self.tags = {tag: self.tokenizer(tag, add_special_tokens=False)['input_ids'][0] for tag in tags}
        if len(set(self.tags.values())) < len(self.tags):
            raise ValueError(f'the tokenizer "{tokenizer}" begins two of {", ".join(tags)} with the same token')

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Tokenise the sample's target."""
        language, text = sample['target']
        ids = self.tokenizer(text, truncation=True, max_length=self.max_length)['input_ids']
        if self.tags:
            if language not in self.tags:
                raise ValueError(f'{sample.get("item_id")} is to be written in {language}; tags are {list(self.tags)}')
            ids = [ids[0], self.tags[language], *ids[1:]]
        sample['target_ids'] = np.asarray(ids, dtype=np.int64)
        return sample
