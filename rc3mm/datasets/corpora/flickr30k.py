"""Flickr30K and xFlickr&CO in IGLUE's layout: `{"sentences": [...], "id": ..., "img_path": ...}`, a line an image."""

import json
from collections.abc import Mapping
from pathlib import Path

from rc3mm.datasets.corpora.lines import RowError, TextLines, decode_line
from rc3mm.datasets.corpora.retrieval import RetrievalImage
from rc3mm.datasets.shards.drops import DropReport

__all__ = ['read_iglue_captions']


def read_iglue_captions(files: Mapping[str, Path], report: DropReport) -> list[RetrievalImage]:
    """Read the captions of images in several languages, brought together by the image's id.

    Args:
        files: language -> file; the languages' order is that of the texts.
        report: counts lines that cannot be used; images are counted by who converts them.

    Returns:
        The images, in the order in which they come first.
    """
    images: dict[str, RetrievalImage] = {}
    for language, path in files.items():
        lines = TextLines(path)
        for line in lines:
            if line == b'':
                continue
            try:
                image_id, name, captions = _parse(decode_line(line))
            except RowError as error:
                report.read()
                report.fault(error.reason, lines.where, error.detail)
                continue
            image = images.setdefault(image_id, RetrievalImage(image_id, name, lines.where))
            image.texts += [(language, caption) for caption in captions]
    return list(images.values())


def _parse(text: str) -> tuple[str, str, list[str]]:
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise RowError('not JSON', str(error)) from error
    try:
        image_id, name, captions = entries['id'], entries['img_path'], entries['sentences']
    except (KeyError, TypeError) as error:
        raise RowError('no id, img_path and sentences', f'{error} is missing in {text[:80]}') from error
    if not isinstance(captions, list) or not all(isinstance(caption, str) for caption in captions):
        raise RowError('sentences are no list of texts', str(captions)[:80])
    return str(image_id), str(name), captions
