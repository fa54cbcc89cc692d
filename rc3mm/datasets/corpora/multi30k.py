"""Multi30K (Elliott et al. 2016, 2017; Barrault et al. 2018): Flickr30K's images with captions in en, de, fr, cs.

Task 1 has one English caption an image and its translations; task 2 has five captions, written independently, in en
and de. Retrieval is commonly scored on five captions for en and de and one for fr and cs.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from rc3mm.datasets.corpora.lines import RowError, TextLines, decode_line
from rc3mm.datasets.corpora.retrieval import RetrievalImage
from rc3mm.datasets.shards.drops import DropReport

__all__ = ['multi30k_files', 'read_multi30k']

_INDEPENDENT = {'en': 5, 'de': 5}  # captions an image of task 2


def read_multi30k(
    root: Path, split: str, languages: Sequence[str], report: DropReport, five_captions: bool = False
) -> list[RetrievalImage]:
    """Read a split.

    Args:
        root: the repository, or its `data` folder.
        split: as the files of task 1 are called: train, val, test_2016_flickr, test_2017_flickr, test_2017_mscoco,
            test_2018_flickr.
        languages: of en, de, fr, cs.
        report: counts lines that cannot be read; images are counted by who converts them.
        five_captions: take en and de from task 2.

    Raises:
        FileNotFoundError: a file is missing; for a missing language, those that are there are named.
        ValueError: a file has another number of lines than there are images.
    """
    independent, translated = _tasks(languages, five_captions)
    order: list[RetrievalImage] = []
    if translated:
        names, files = _task1(root, split, translated)
        order = _read_part(names, files, report)
    images = {image.name: image for image in order}
    if independent:
        names, files = _task2(root, split, independent)
        for image in _read_part(names, files, report):
            if image.name in images:
                images[image.name].texts += image.texts
            else:
                order.append(image)
    for image in order:
        image.texts.sort(key=lambda text: languages.index(text[0]))
    return order


def multi30k_files(root: Path, split: str, languages: Sequence[str], five_captions: bool = False) -> list[Path]:
    """The files that `read_multi30k` reads.

    Raises:
        FileNotFoundError: a file is missing; for a missing language, those that are there are named.
    """
    independent, translated = _tasks(languages, five_captions)
    parts = [_task1(root, split, translated)] if translated else []
    parts += [_task2(root, split, independent)] if independent else []
    return [path for names, files in parts for path in (names, *(file for _, file in files))]


def _tasks(languages: Sequence[str], five_captions: bool) -> tuple[list[str], list[str]]:
    """The languages that are taken from task 2, and from task 1."""
    independent = [language for language in languages if five_captions and language in _INDEPENDENT]
    return independent, [language for language in languages if language not in independent]


def _task1(root: Path, split: str, languages: Sequence[str]) -> tuple[Path, list[tuple[str, Path]]]:
    folder = _data(root) / 'task1'
    files = [(language, _find(folder / 'raw' / f'{split}.{language}')) for language in languages]
    return _find(folder / 'image_splits' / f'{split}.txt'), files


def _task2(root: Path, split: str, languages: Sequence[str]) -> tuple[Path, list[tuple[str, Path]]]:
    folder, split = _data(root) / 'task2', split.removesuffix('_flickr')
    raw = folder / 'raw'
    files = [
        (language, _find(raw / f'{split}.{number}.{language}'))
        for language in languages
        for number in range(1, _INDEPENDENT[language] + 1)
    ]
    return _find(folder / 'image_splits' / f'{split}_images.txt'), files


def _data(root: Path) -> Path:
    return root / 'data' if (root / 'data').is_dir() else root


def _read_part(names_file: Path, files: list[tuple[str, Path]], report: DropReport) -> list[RetrievalImage]:
    """The images of a list, with a caption of each file."""
    names = [line.partition('#')[0].strip() for line in names_file.read_text(encoding='utf-8').splitlines()]
    images = [
        RetrievalImage(PurePosixPath(name).stem, name, f'{names_file.name}:{number}')
        for number, name in enumerate(names, start=1)
    ]
    for language, path in files:
        lines = TextLines(path)
        captions = list(lines)
        if len(captions) != len(images):
            raise ValueError(
                f'{lines.path} has {len(captions):,} lines for the {len(images):,} images of {names_file}; every image '
                'must have its line'
            )
        for number, (image, line) in enumerate(zip(images, captions, strict=True), start=1):
            try:
                image.texts.append((language, decode_line(line)))
            except RowError as error:
                report.read()
                report.fault(error.reason, f'{lines.path.name}:{number}', error.detail)
    return images


def _find(path: Path) -> Path:
    """The file, gzip or not."""
    for candidate in (path.with_name(f'{path.name}.gz'), path):
        if candidate.is_file():
            return candidate
    there = sorted(entry.name for entry in path.parent.glob('*')) if path.parent.is_dir() else []
    raise FileNotFoundError(f'there is no {path}; its folder has {", ".join(there[:20]) or "no files"}')
