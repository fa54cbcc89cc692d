"""A look at a whole test set before a number is made of it: counts, doubles, gaps, missing images."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rc3mm.datasets.base import VLDataset
from rc3mm.datasets.benchmarks.known import Expected, expected_counts

__all__ = ['KINDS', 'Audit', 'Counts', 'Finding', 'UnexpectedDataError', 'audit', 'audit_dataset', 'refuse_unknown']

KINDS = ('counts', 'duplicate_ids', 'empty_texts', 'unlabelled', 'outside_labels', 'missing_images')
_NO_GOLD = ('', '-')  # how files say that there is no gold answer
_SHOWN = 3  # names that a finding gives


class UnexpectedDataError(ValueError):
    """A test set is not what was published, and nobody said that this is all right."""


@dataclass(frozen=True)
class Finding:
    """Something odd.

    Attributes:
        kind: one of `KINDS`.
        language: whose; '' for the whole set.
        text: what, with the first few names.
        known: whether it is known of the published benchmark.
    """

    kind: str
    language: str
    text: str
    known: bool = False

    def __str__(self) -> str:
        return f'{self.language}: {self.text}' if self.language else self.text


@dataclass
class Counts:
    """What a language holds.

    Attributes:
        items: number of items.
        texts: number of captions, questions, sentences or references.
        images: ids of the images, in order.
        empty: ids of the items with empty texts.
        unlabelled: ids of the items without a gold label.
        outside: ids of the items whose gold answer is none of the classes.
    """

    items: int = 0
    texts: int = 0
    images: dict[str, None] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Audit:
    """What a dataset holds.

    Attributes:
        counts: by language.
        expected: what was published, by language, as far as it is known.
        num_images: different image files or pictures in all.
        findings: what is odd.
    """

    counts: Mapping[str, Counts]
    expected: Mapping[str, Expected]
    num_images: int
    findings: tuple[Finding, ...]

    def unknown(self, allow: Iterable[str] = ()) -> list[Finding]:
        """The findings that are neither known nor of an allowed kind."""
        return [finding for finding in self.findings if not finding.known and finding.kind not in set(allow)]


def audit_dataset(dataset: VLDataset) -> Audit:
    """Audit a dataset by what is known of its like; no image is opened."""
    samples = (dataset.get_sample(index) for index in range(len(dataset)))
    return audit(samples, expected_counts(dataset.metainfo))


def audit(
    samples: Iterable[Mapping[str, Any]],
    expected: Mapping[str, Expected],
    exists: Callable[[str], bool] = os.path.isfile,
) -> Audit:
    """Count what samples hold and compare it with what they should.

    Args:
        samples: raw samples of a task.
        expected: by language.
        exists: whether there is an image at a path.
    """
    counts: dict[str, Counts] = {}
    ids: Counter[str] = Counter()
    owners: dict[str, str] = {}  # item id -> language
    images: dict[str, bool] = {}  # path, or id of a picture that needs none -> whether it is there
    for sample in samples:
        item_id = sample['item_id']
        ids[item_id] += 1
        for language, texts in _texts_of(sample).items():
            own = counts.setdefault(language, Counts())
            owners.setdefault(item_id, language)
            own.items += 1
            own.texts += len(texts)
            own.images |= dict.fromkeys(image['image_id'] for image in _images_of(sample))
            own.empty += [item_id for text in texts if not text.strip()]
            if sample.get('label', 0) < 0:
                (own.unlabelled if sample['answer'] in _NO_GOLD else own.outside).append(item_id)
        for image in _images_of(sample):
            path = image.get('image_path') or image['image_id']
            if path not in images:
                images[path] = 'image_path' not in image or exists(path)
    findings = [
        finding for language, own in counts.items() for finding in _judge(language, own, expected.get(language))
    ]
    for language in dict.fromkeys(owners.values()):
        doubles = [item_id for item_id, count in ids.items() if count > 1 and owners[item_id] == language]
        if doubles:
            findings.append(
                Finding('duplicate_ids', language, f'{_count(doubles, "id")} twice or more: {_named(doubles)}')
            )
    if missing := [path for path, there in images.items() if not there]:
        text = f'{len(missing):,} of {len(images):,} images missing: {_named(missing)}'
        findings.append(Finding('missing_images', '', text))
    return Audit(counts, dict(expected), len(images), tuple(findings))


def refuse_unknown(result: Audit, name: str, allow: Iterable[str] = ()) -> None:
    """Make sure that a dataset is as published.

    Args:
        result: its audit.
        name: of the dataset, for the message.
        allow: kinds of findings that are all right.

    Raises:
        UnexpectedDataError: something is odd that is neither known nor allowed.
        ValueError: `allow` names an unknown kind.
    """
    if strange := sorted(set(allow) - set(KINDS)):
        raise ValueError(f'allow takes some of {", ".join(KINDS)}; got {", ".join(map(repr, strange))}')
    if unknown := result.unknown(allow):
        told = '; '.join(map(str, unknown))
        kinds = ' '.join(dict.fromkeys(finding.kind for finding in unknown))
        raise UnexpectedDataError(f'{name} is not as published: {told}. Mend it, or allow {kinds}')


def _texts_of(sample: Mapping[str, Any]) -> dict[str, list[str]]:
    """Texts by the language whose score they make; the source of a translation counts with its reference."""
    if 'target' in sample:
        language, reference = sample['target']
        return {language: [reference if sample['texts'][0][1].strip() else '']}
    found: dict[str, list[str]] = {}
    for language, text in sample['texts']:
        found.setdefault(language, []).append(text)
    return found


def _images_of(sample: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(sample['images']) if 'images' in sample else [sample]


def _judge(language: str, own: Counts, expected: Expected | None) -> Iterator[Finding]:
    known = expected or Expected()
    found = {'texts': own.texts, 'images': len(own.images)}
    for what, choices in (('texts', known.texts), ('images', known.images)):
        if choices and found[what] != choices[0]:
            is_known = found[what] in choices
            note = f' ({known.note})' if known.note and is_known else ''
            yield Finding('counts', language, f'{found[what]:,} {what} instead of {choices[0]:,}{note}', is_known)
    for kind, ids, limit, what in (
        ('empty_texts', own.empty, known.empty, 'empty text'),
        ('unlabelled', own.unlabelled, known.unlabelled, 'item'),
        ('outside_labels', own.outside, 0, 'answer'),
    ):
        if ids:
            more = {'unlabelled': ' without a gold label', 'outside_labels': ' outside the classes'}.get(kind, '')
            note = f' ({known.note})' if known.note and len(ids) <= limit else ''
            yield Finding(kind, language, f'{_count(ids, what)}{more}: {_named(ids)}{note}', len(ids) <= limit)


def _count(things: Iterable[Any], what: str) -> str:
    number = len(list(things))
    return f'{number:,} {what}{"s" * (number != 1)}'


def _named(names: Iterable[str]) -> str:
    names = list(names)
    return ', '.join(names[:_SHOWN]) + (', ...' if len(names) > _SHOWN else '')
