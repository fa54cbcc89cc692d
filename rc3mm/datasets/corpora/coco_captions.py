"""Captions of COCO's images in several languages: COCO and STAIR (ja), Karpathy's splits (en), COCO-CN (zh).

A file of captions has one of three layouts, told apart by what it holds:
- COCO's JSON: `{"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}`, also that of STAIR;
- Karpathy's JSON: `{"images": [{"cocoid", "filepath", "filename", "split", "sentences": [{"raw"}]}]}`;
- lines `COCO_val2014_000000123599#0<TAB>caption` (COCO-CN; also `...#zhm#0 caption`).
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeGuard

from rc3mm.datasets.corpora.lines import RowError, TextLines, decode_line
from rc3mm.datasets.corpora.retrieval import RetrievalImage
from rc3mm.datasets.shards.drops import DropReport

__all__ = ['read_coco_captions', 'read_image_list', 'read_karpathy_split']

_LINE = re.compile(r'(COCO_(?:train|val|test)\d{4}_\d{12})(?:\.jpg)?(?:#\w+)*\s+(.*)')
_NAME = re.compile(r'(?:COCO_((?:train|val|test)\d{4})_)?0*(\d+)(?:\.jpg)?')


def read_coco_captions(
    files: Mapping[str, Path], report: DropReport, wanted: Mapping[int, str] | None = None
) -> list[RetrievalImage]:
    """Read the captions of images in several languages, brought together by the image's number.

    Args:
        files: language -> file; the languages' order is that of the texts.
        report: counts captions that cannot be used; images are counted by who converts them.
        wanted: number -> name (or '') of the images of a split, in its order; None: all that have captions.

    Returns:
        The images, by `wanted`, or by number.

    Raises:
        ValueError: a file has none of the layouts.
    """
    images: dict[int, RetrievalImage] = {}
    for language, path in files.items():
        for number, name, caption, where in _read_file(path, report):
            if wanted is not None and number not in wanted:
                continue
            image = images.setdefault(number, RetrievalImage(str(number), '', where))
            image.name = image.name or (wanted or {}).get(number, '') or name
            image.texts.append((language, caption))
    for number, name in (wanted or {}).items():
        if number not in images:
            report.read()
            report.rule('image of the split without a caption', name or str(number))
    order = sorted(images) if wanted is None else [number for number in wanted if number in images]
    for number in order:
        images[number].name = images[number].name or f'{number:012d}.jpg'
    return [images[number] for number in order]


def read_karpathy_split(path: Path, split: str, report: DropReport) -> dict[int, str]:
    """Number -> name of the images of one of Karpathy's splits (train, restval, val, test).

    Args:
        path: the file.
        split: the split.
        report: counts entries that cannot be used.

    Raises:
        ValueError: the file has another layout, or no such split.
    """
    entries = _read_json(path).get('images')
    if not _have(entries, 'split'):
        raise ValueError(f'{path} is not in the layout of dataset_coco.json: images with `cocoid` and `split`')
    found, splits = {}, set()
    for place, entry in enumerate(entries):
        with _fault_of(entry, f'{path.name}:images[{place}]', 'image without cocoid or split', report):
            number, own = int(entry['cocoid']), str(entry['split'])
            splits.add(own)
            if own == split:
                found[number] = _karpathy_name(entry)
    if not found:
        raise ValueError(f'{path} has no split {split!r}; it has {", ".join(sorted(splits))}')
    return found


def read_image_list(path: Path) -> dict[int, str]:
    """Number -> name of the images of a list, one a line: `COCO_val2014_000000123599` or a number.

    Raises:
        ValueError: a line is neither.
    """
    found = {}
    for number, line in enumerate(path.read_text(encoding='utf-8').split(), start=1):
        match = _NAME.fullmatch(line)
        if match is None:
            raise ValueError(f'{path}, line {number}: {line[:60]!r} is no image such as COCO_val2014_000000123599')
        found[int(match[2])] = _file_name(match)
    return found


def _read_file(path: Path, report: DropReport) -> Iterator[tuple[int, str, str, str]]:
    """Yield (number of the image, its name or '', caption, where)."""
    with path.open('rb') as file:
        start = file.read(64).lstrip(b'\xef\xbb\xbf \r\n\t')
    if not start.startswith(b'{'):
        yield from _read_lines(path, report)
        return
    entries = _read_json(path)
    images, annotations = entries.get('images'), entries.get('annotations')
    if isinstance(annotations, list):
        yield from _read_annotations(path, images if isinstance(images, list) else [], annotations, report)
    elif _have(images, 'sentences'):
        yield from _read_sentences(path, images, report)
    else:
        raise ValueError(
            f'{path} is neither in the layout of COCO (`annotations`) nor in that of Karpathy (`images` with '
            f'`sentences`); it has {", ".join(sorted(entries))}'
        )


def _have(entries: Any, key: str) -> TypeGuard[list[Any]]:
    """Whether these are the entries of a layout: some of them have its key."""
    return isinstance(entries, list) and any(isinstance(entry, dict) and key in entry for entry in entries)


@contextmanager
def _fault_of(entry: Any, where: str, reason: str, report: DropReport) -> Iterator[None]:
    """Count an entry that lacks a key, or has something else under it."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        report.read()
        report.fault(reason, where, f'{type(error).__name__} {error}: {str(entry)[:80]}')


def _read_sentences(path: Path, images: list[Any], report: DropReport) -> Iterator[tuple[int, str, str, str]]:
    for place, image in enumerate(images):
        where, captions = f'{path.name}:images[{place}]', []
        with _fault_of(image, where, 'image without cocoid or sentences', report):
            number, name = int(image['cocoid']), _karpathy_name(image)
            captions = [_text(sentence['raw']) for sentence in image['sentences']]
        for caption in captions:
            yield number, name, caption, where


def _read_annotations(
    path: Path, images: list[Any], annotations: list[Any], report: DropReport
) -> Iterator[tuple[int, str, str, str]]:
    names = {}
    for place, image in enumerate(images):
        with _fault_of(image, f'{path.name}:images[{place}]', 'image without id', report):
            names[int(image['id'])] = str(image.get('file_name', ''))
    for place, entry in enumerate(annotations):
        where, caption = f'{path.name}:annotations[{place}]', None
        with _fault_of(entry, where, 'annotation without image_id or caption', report):
            number, caption = int(entry['image_id']), _text(entry['caption'])
        if caption is None:
            continue
        name = names.get(number, '')
        match = _NAME.fullmatch(name)
        yield number, _file_name(match) if match else name, caption, where


def _read_lines(path: Path, report: DropReport) -> Iterator[tuple[int, str, str, str]]:
    lines = TextLines(path)
    for line in lines:
        if line == b'':
            continue
        try:
            match = _LINE.fullmatch(decode_line(line))
            if match is None:
                raise RowError('not a name and a caption', repr(line)[:80])
        except RowError as error:
            report.read()
            report.fault(error.reason, lines.where, error.detail)
            continue
        name = _NAME.fullmatch(match[1])
        assert name is not None
        yield int(name[2]), _file_name(name), match[2], lines.where


def _file_name(match: re.Match[str]) -> str:
    """Path below COCO's folder: `val2014/COCO_val2014_000000123599.jpg`; '' if the folder is not known."""
    return f'{match[1]}/COCO_{match[1]}_{int(match[2]):012d}.jpg' if match[1] else ''


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError('the caption is no text')
    return value


def _karpathy_name(image: Mapping[str, Any]) -> str:
    folder, name = str(image.get('filepath', '')), str(image.get('filename', ''))
    return f'{folder}/{name}' if folder and name else name


def _read_json(path: Path) -> dict[str, Any]:
    try:
        entries = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f'{path} is no JSON: {error}') from error
    if not isinstance(entries, dict):
        raise ValueError(f'{path} holds no JSON object')
    return entries
