"""Second and third stage: all texts of an image come together, in an order that depends on the rows alone."""

import random
from collections import defaultdict
from pathlib import Path

import pytest

from rc3mm.datasets.corpora.languages import Languages
from rc3mm.datasets.corpora.urls import url_digest
from rc3mm.datasets.corpora.wit_groups import WitImage, group_tables, read_images, select_texts
from rc3mm.datasets.corpora.wit_rows import filter_table
from rc3mm.datasets.shards import DropReport
from tests.test_datasets.test_corpora.corpus_files import COMMONS, counts, samples, wit_row, write

CODES = ('en', 'de', 'ja')


def random_rows(count: int, images: int) -> list[tuple[str, str, str]]:
    rng = random.Random(0)
    return [(rng.choice(CODES), f'I{rng.randrange(images)}', f'Text number {k} of all') for k in range(count)]


def tables(folder: Path, rows: list[tuple[str, str, str]], parts: int) -> list[Path]:
    """Filtered tables, the rows dealt out over some files."""
    outs = []
    for number in range(parts):
        lines = [wit_row(*row) for row in rows[number::parts]]
        out = folder / f'{number}.parquet'
        path = write(folder / f'{number}.tsv', lines)
        filter_table(
            path, number, out, Languages(CODES), DropReport(), min_chars=1, max_line_bytes=2000, progress=lambda _: None
        )
        outs.append(out)
    return outs


def group(folder: Path, paths: list[Path], least: int = 2, threads: int = 1, memory: int = 300_000_000) -> Path:
    out = folder / f'grouped-{least}-{threads}.parquet'
    group_tables(paths, out, min_languages=least, memory_limit=memory, threads=threads, temp_folder=folder / 'temp')
    return out


def test_images_with_enough_languages_and_all_their_texts(tmp_path: Path) -> None:
    rows = random_rows(3000, 700)
    path = group(tmp_path, tables(tmp_path, rows, 3))
    expected: dict[str, set] = defaultdict(set)
    for language, image, text in rows:
        expected[f'{COMMONS}{image}.jpg'].add((CODES.index(language), text))
    expected = {url: texts for url, texts in expected.items() if len({language for language, _ in texts}) >= 2}
    images = list(read_images(path))
    assert {image.url: {text[:2] for text in image.texts} for image in images} == expected
    digests = [image.digest for image in images]
    assert digests == sorted(digests) == sorted(map(url_digest, expected))
    assert all(image.texts == sorted(image.texts, key=lambda text: (text[0], *text[2:])) for image in images)
    assert images[-1].end == sum(map(len, expected.values()))


def test_order_depends_neither_on_threads_nor_on_files(tmp_path: Path) -> None:
    rows = random_rows(2000, 300)
    found = []
    for parts, threads in ((1, 1), (1, 4), (4, 2)):
        folder = tmp_path / f'{parts}{threads}'
        images = read_images(group(folder, tables(folder, rows, parts), threads=threads))
        found.append([(image.digest, sorted(text[:2] for text in image.texts)) for image in images])
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize('least', [1, 2, 3])
def test_least_number_of_languages(tmp_path: Path, least: int) -> None:
    rows = [('en', 'A', 'one'), ('de', 'B', 'two'), ('en', 'B', 'three'), *((code, 'C', 'four') for code in CODES)]
    images = read_images(group(tmp_path, tables(tmp_path, rows, 1), least))
    assert {image.url[-5:-4] for image in images} == set('ABC'[least - 1 :])


def test_goes_on_behind_any_image(tmp_path: Path) -> None:
    path = group(tmp_path, tables(tmp_path, random_rows(900, 200), 1))
    images = list(read_images(path))
    for place in (0, 1, len(images) // 2, len(images) - 1):
        assert list(read_images(path, images[place].end)) == images[place + 1 :]


def test_too_little_memory_says_so(tmp_path: Path) -> None:
    paths = tables(tmp_path, random_rows(50_000, 9000), 1)
    with pytest.raises(MemoryError, match=r'DuckDB was given 2,000,000 bytes, too few'):
        group(tmp_path, paths, memory=2_000_000)
    assert not (tmp_path / 'grouped-2-1.parquet').exists()


def test_other_errors_of_the_sort_name_its_folder(tmp_path: Path) -> None:
    (tmp_path / 'broken.parquet').write_bytes(b'PAR1 not really')
    with pytest.raises(
        OSError, match=rf'DuckDB cannot sort the rows with temporary files in {tmp_path}/temp: .*broken'
    ):
        group(tmp_path, [tmp_path / 'broken.parquet'])
    assert not (tmp_path / 'grouped-2-1.parquet').exists()


def select(texts: list[tuple[int, str]], report: DropReport, **more: object) -> list[tuple[str, str]]:
    image = WitImage(b'', 'https://x.org/a', [(code, text, 0, line) for line, (code, text) in enumerate(texts)], 9)
    options = {'min_languages': 2, 'max_texts': 3, 'keep_copies': False, **more}
    return select_texts(image, CODES, report, where=lambda file, line: f'{file}:{line}', **options)


def test_texts_that_differ() -> None:
    report = DropReport()
    texts = [
        (0, 'The bridge'),
        (0, 'the bridge.'),
        (0, 'A bridge'),
        (1, 'Die Brücke'),
        (1, 'The Bridge'),
        (2, '橋の写真'),
    ]
    assert select(texts, report) == [('en', 'The bridge'), ('en', 'A bridge'), ('de', 'Die Brücke'), ('ja', '橋の写真')]
    assert counts(report) == {'text of the image again': 1, 'text of the image again in another language': 1}
    assert samples(report, 'text of the image again') == [('0:1', 'the bridge.')]


def test_same_name_in_all_languages_is_no_pair() -> None:
    report = DropReport()
    texts = [(0, 'Angela Merkel'), (1, 'Angela Merkel')]
    assert select(texts, report) == []
    assert counts(report) == {'text of the image again in another language': 1, 'image with too few languages': 1}
    assert select(texts, DropReport(), keep_copies=True) == [('en', 'Angela Merkel'), ('de', 'Angela Merkel')]


def test_an_image_on_a_thousand_pages_is_bounded() -> None:
    report = DropReport()
    texts = [(code, f'{code} {k}') for code in (0, 1) for k in range(1000)]
    assert len(select(texts, report)) == 6
    assert counts(report) == {'more texts of a language than wanted': 1994}
