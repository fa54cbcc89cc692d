"""ImageIndex: images by address from archives and tables, in any spelling; what cannot be used is told."""

import tarfile
from pathlib import Path

import pytest

from rc3mm.datasets.corpora.image_index import ImageIndex
from rc3mm.datasets.corpora.tar_members import read_downloads
from rc3mm.datasets.shards import DropReport
from tests.test_datasets.test_corpora.corpus_files import (
    assert_all_accounted_for,
    counts,
    jpeg,
    samples,
    write,
    write_downloads,
)

IMAGES = {f'https://x.org/{k}.jpg': jpeg(k) for k in range(6)}


def found(index: ImageIndex) -> dict[str, bytes]:
    places = {url: index.find(url) for url in IMAGES}
    return {url: place.read() for url, place in places.items() if place is not None}


@pytest.mark.parametrize('table', [True, False], ids=['addresses in parquet', 'addresses in json'])
def test_images_of_archives(tmp_path: Path, table: bool) -> None:
    urls = list(IMAGES)
    for number, part in enumerate((urls[:4], urls[4:])):
        write_downloads(tmp_path / 'tars', number, {url: IMAGES[url] for url in part}, table)
    with ImageIndex(tmp_path / 'index.sqlite') as index:
        told: list[tuple[int, int]] = []
        index.add_downloads(tmp_path / 'tars', lambda *done: told.append(done))
        assert found(index) == IMAGES and len(index) == 6
        assert index.find('http://X.org/3.jpg#top') == index.find('https://x.org/3.jpg')
        assert index.find('https://x.org/gone.jpg') is None and index.find('') is None
        assert told == [(0, 2), (1, 2), (2, 2)]
        assert index.report.num_read == index.report.num_kept == 6


def test_first_of_two_images_counts(tmp_path: Path) -> None:
    url = 'https://x.org/0.jpg'
    write_downloads(tmp_path / 'tars', 0, {url: jpeg(1)})
    write_downloads(tmp_path / 'tars', 1, {url: jpeg(2)})
    with ImageIndex(tmp_path / 'index.sqlite') as index:
        index.add_downloads(tmp_path / 'tars')
        assert index.find(url).read() == jpeg(1)


def test_files_are_taken_in_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    urls = list(IMAGES)
    write_downloads(tmp_path / 'tars', 0, {urls[0]: IMAGES[urls[0]]})
    second = write_downloads(tmp_path / 'tars', 1, {urls[1]: IMAGES[urls[1]]})
    whole = second.read_bytes()
    second.write_bytes(b'')  # so the first run fails in the middle
    read: list[str] = []

    def spy(archive: Path, report: DropReport):  # type: ignore[no-untyped-def]
        read.append(archive.name)
        if archive.stat().st_size == 0:
            raise OSError('as if the power had failed')
        return read_downloads(archive, report)

    monkeypatch.setattr('rc3mm.datasets.corpora.image_index.read_downloads', spy)
    with ImageIndex(tmp_path / 'i') as index, pytest.raises(OSError, match='power'):
        index.add_downloads(tmp_path / 'tars')
    second.write_bytes(whole)
    for _ in range(2):
        with ImageIndex(tmp_path / 'i') as index:
            index.add_downloads(tmp_path / 'tars')
            assert len(found(index)) == 2 and index.report.num_kept == 2
    assert read == ['00000.tar', '00001.tar', '00001.tar']
    second.write_bytes(whole + b'\0' * 512)
    with ImageIndex(tmp_path / 'i') as index, pytest.raises(ValueError, match=r'00001\.tar has changed'):
        index.add_downloads(tmp_path / 'tars')


def test_archives_with_faults(tmp_path: Path) -> None:
    archive = write_downloads(tmp_path, 0, {**IMAGES, 'https://x.org/empty.jpg': b''}, table=False)
    report = DropReport()
    urls = [url for url, _, _ in read_downloads(archive, report)]
    assert urls == list(IMAGES) and counts(report) == {'empty image': 1}
    assert samples(report, 'empty image') == [('00000.tar/000000006.jpg', '')]
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    report = DropReport()
    urls = [url for url, _, _ in read_downloads(archive, report)]
    assert 0 < len(urls) < 6 and counts(report)['broken archive'] == 1
    assert_all_accounted_for(report)
    archive.write_bytes(b'no archive at all' * 100)
    report = DropReport()
    assert list(read_downloads(archive, report)) == [] and counts(report) == {'broken archive': 1}


def test_archive_that_ends_within_an_image(tmp_path: Path) -> None:
    archive = write_downloads(tmp_path, 0, IMAGES)
    with tarfile.open(archive) as tar:
        last = [member for member in tar if member.name.endswith('.jpg')][-1]
    archive.write_bytes(archive.read_bytes()[: last.offset_data + last.size - 10])
    report = DropReport()
    assert [url for url, _, _ in read_downloads(archive, report)] == list(IMAGES)[:-1]
    assert counts(report) == {'image cut short': 1, 'broken archive': 1} and report.num_kept == 5
    assert samples(report, 'image cut short')[0][0] == f'00000.tar/{last.name}'
    assert_all_accounted_for(report)


def test_archives_that_are_not_named_any_more_are_forgotten(tmp_path: Path) -> None:
    url = 'https://x.org/0.jpg'
    write_downloads(tmp_path / 'first', 0, {url: jpeg(1), 'https://x.org/1.jpg': jpeg(2)})
    write_downloads(tmp_path / 'second', 0, {url: jpeg(3)})
    for folder in ('first', 'second'):
        with ImageIndex(tmp_path / 'i') as index:
            index.add_downloads(tmp_path / folder)
    with ImageIndex(tmp_path / 'i') as index:
        assert found(index) == {url: jpeg(3)} and len(index) == index.report.num_read == 1
        index.add_table(write(tmp_path / 'table.tsv', [f'{url}\ta.jpg']))
        assert len(index) == 1 and index.find(url).path == str(tmp_path / 'a.jpg')


def test_images_without_address(tmp_path: Path) -> None:
    archive = write_downloads(tmp_path, 0, {'': jpeg(), 'https://x.org/1.jpg': jpeg(1)}, table=False)
    report = DropReport()
    assert [url for url, _, _ in read_downloads(archive, report)] == ['https://x.org/1.jpg']
    assert counts(report) == {'image without address': 1}
    archive.with_suffix('.parquet').write_bytes(b'PAR1 not really')
    report = DropReport()
    assert len(list(read_downloads(archive, report))) == 1  # the .json members step in
    assert counts(report) == {'broken table of addresses': 1, 'image without address': 1}


def test_no_archive(tmp_path: Path) -> None:
    with ImageIndex(tmp_path / 'i') as index:
        with pytest.raises(FileNotFoundError, match=r'no \.tar file in .* img2dataset'):
            index.add_downloads(tmp_path)


def test_table_of_paths(tmp_path: Path) -> None:
    (tmp_path / 'a.jpg').write_bytes(jpeg(1))
    lines = ['https://x.org/a\ta.jpg', 'https://x.org/b\t/elsewhere/b.jpg', 'one column', 'x\t', b'\xff\ty']
    table = write(tmp_path / 'table.tsv.gz', lines)
    with ImageIndex(tmp_path / 'i') as index:
        index.add_table(table)
        place = index.find('http://x.org/a')
        assert place.path == str(tmp_path / 'a.jpg') and place.offset is None and place.read() == jpeg(1)
        assert index.find('https://x.org/b').path == '/elsewhere/b.jpg'
        assert counts(index.report) == {'not an address and a path': 2, 'bad UTF-8': 1}
        assert_all_accounted_for(index.report)
