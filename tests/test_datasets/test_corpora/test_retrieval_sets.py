"""Multi30K, COCO's captions in three layouts, Flickr30K: images with all their captions, nothing lost silently."""

import json
from pathlib import Path
from typing import Any

import pytest

from rc3mm.datasets.corpora.coco_captions import read_coco_captions, read_image_list, read_karpathy_split
from rc3mm.datasets.corpora.flickr30k import read_iglue_captions
from rc3mm.datasets.corpora.multi30k import multi30k_files, read_multi30k
from rc3mm.datasets.corpora.retrieval import RetrievalImage, RetrievalImages
from rc3mm.datasets.shards import DropReport, ImageTextRecord
from tests.test_datasets.test_corpora.corpus_files import SHARED, assert_all_accounted_for, counts, samples, write

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason='the annotation files of ../shared/data are not here')


def path_of(name: str, where: str, report: DropReport, rows: int = 1) -> dict[str, Any]:
    return {'image_path': name}


def records_of(images: list[RetrievalImage], report: DropReport, cursor: Any = None) -> list[ImageTextRecord]:
    return [record for record, _, _ in RetrievalImages(images, report, path_of)(cursor)]


# ------------------------------------------------------------------------------------------------- multi30k


def multi30k(folder: Path, names: list[str], languages: tuple[str, ...] = ('en', 'de', 'fr')) -> Path:
    data = folder / 'data'
    write(data / 'task1/image_splits/val.txt', names)
    write(data / 'task2/image_splits/val_images.txt', names[::-1])
    for language in languages:
        write(data / f'task1/raw/val.{language}.gz', [f'{language} of {name}' for name in names])
        for number in range(1, 6):
            lines = [f'{language} {number} of {name}' for name in names[::-1]]
            write(data / f'task2/raw/val.{number}.{language}.gz', lines)
    return folder


def test_translations(tmp_path: Path) -> None:
    root = multi30k(tmp_path, ['1.jpg', '2.jpg'])
    for place in (root, root / 'data'):
        report = DropReport()
        records = records_of(read_multi30k(place, 'val', ['de', 'en'], report), report)
        assert [record.image_path for record in records] == ['1.jpg', '2.jpg']
        assert records[1].texts == (('de', 'de of 2.jpg'), ('en', 'en of 2.jpg'))
        assert records[0].image_id == '1' and records[0].source_id == 'val.txt:1'
        assert_all_accounted_for(report)


def test_five_captions_and_translations_together(tmp_path: Path) -> None:
    root = multi30k(tmp_path, ['1.jpg', '2.jpg', '3.jpg'])
    images = read_multi30k(root, 'val', ['en', 'de', 'fr'], DropReport(), five_captions=True)
    assert [image.name for image in images] == ['1.jpg', '2.jpg', '3.jpg']
    assert images[2].texts == [
        *[('en', f'en {k} of 3.jpg') for k in range(1, 6)],
        *[('de', f'de {k} of 3.jpg') for k in range(1, 6)],
        ('fr', 'fr of 3.jpg'),
    ]
    alone = read_multi30k(root, 'val', ['de'], DropReport(), five_captions=True)
    assert [len(image.texts) for image in alone] == [5, 5, 5]
    assert len(multi30k_files(root, 'val', ['en', 'de', 'fr'], True)) == 2 + 1 + 10


def test_images_of_coco_come_twice(tmp_path: Path) -> None:
    names = ['COCO_train2014_000000117071.jpg#367178', 'COCO_train2014_000000117071.jpg#2', 'b.jpg#1']
    report = DropReport()
    records = records_of(read_multi30k(multi30k(tmp_path, names), 'val', ['en'], report), report)
    assert [record.image_id for record in records] == [
        'COCO_train2014_000000117071',
        'COCO_train2014_000000117071-2',
        'b',
    ]
    assert records[0].image_path == records[1].image_path == 'COCO_train2014_000000117071.jpg'


def test_multi30k_with_faults(tmp_path: Path) -> None:
    root = multi30k(tmp_path, ['1.jpg', '2.jpg'])
    write(root / 'data/task1/raw/val.fr.gz', ['un', b'\xff'])
    report = DropReport()
    records = records_of(read_multi30k(root, 'val', ['en', 'fr'], report), report)
    assert [len(record.texts) for record in records] == [2, 1] and counts(report) == {'bad UTF-8': 1}
    assert samples(report, 'bad UTF-8')[0][0] == 'val.fr.gz:2'
    write(root / 'data/task1/raw/val.fr.gz', ['un'])
    with pytest.raises(ValueError, match=r'val\.fr\.gz has 1 lines for the 2 images of .*val\.txt'):
        read_multi30k(root, 'val', ['en', 'fr'], report)
    with pytest.raises(FileNotFoundError, match=r'no .*val\.cs; its folder has val\.de\.gz, val\.en\.gz'):
        read_multi30k(root, 'val', ['cs'], report)
    with pytest.raises(FileNotFoundError, match=r'no .*test\.en; its folder has'):
        multi30k_files(root, 'test', ['en'])


@needs_shared
@pytest.mark.parametrize(('split', 'count'), [('val', 1014), ('test_2016_flickr', 1000)])
def test_real_multi30k(split: str, count: int) -> None:
    report = DropReport()
    records = records_of(read_multi30k(SHARED / 'multi30k', split, ['en', 'de', 'fr', 'cs'], report), report)
    assert len(records) == count and counts(report) == {}
    assert {tuple(language for language, _ in record.texts) for record in records} == {('en', 'de', 'fr', 'cs')}


# ----------------------------------------------------------------------------------------------------- coco

NAMES = {k: f'COCO_val2014_{k:012d}' for k in (9, 25, 30)}


def coco_files(folder: Path) -> dict[str, Path]:
    stair = {
        'images': [{'id': k, 'file_name': f'{name}.jpg'} for k, name in NAMES.items()],
        'annotations': [
            {'id': n, 'image_id': k, 'caption': f'説明{k}-{n}', 'tokenized_caption': ''}
            for k in (9, 25)
            for n in range(2)
        ],
    }
    karpathy = {
        'images': [
            {
                'cocoid': k,
                'filepath': 'val2014',
                'filename': f'{NAMES[k]}.jpg',
                'split': 'test' if k != 30 else 'val',
                'sentences': [{'raw': f'caption {k}-{n}', 'tokens': []} for n in range(5)],
            }
            for k in (25, 9, 30)
        ]
    }
    chinese = [f'{NAMES[9]}#0\t一个人', f'{NAMES[25]}#zhm#1 一只狗', f'{NAMES[25]}.jpg#2\t狗']
    return {
        'en': write(folder / 'dataset_coco.json', [json.dumps(karpathy)]),
        'ja': write(folder / 'stair.json', [json.dumps(stair)]),
        'zh': write(folder / 'coco-cn.txt', chinese),
    }


def test_three_layouts_come_together(tmp_path: Path) -> None:
    files, report = coco_files(tmp_path), DropReport()
    wanted = read_karpathy_split(files['en'], 'test', report)
    images = read_coco_captions(files, report, wanted)
    assert [image.image_id for image in images] == ['25', '9']
    assert images[1].texts == [
        *[('en', f'caption 9-{n}') for n in range(5)],
        *[('ja', f'説明9-{n}') for n in range(2)],
        ('zh', '一个人'),
    ]
    assert [len(image.texts) for image in images] == [9, 8]
    assert {image.name for image in images} == {f'val2014/{NAMES[k]}.jpg' for k in (9, 25)}
    for language in files:  # every layout knows where the images are
        names = {image.name for image in read_coco_captions({language: files[language]}, DropReport())}
        assert names <= {f'val2014/{name}.jpg' for name in NAMES.values()} and len(names) >= 2


def test_splits(tmp_path: Path) -> None:
    files = coco_files(tmp_path)
    assert list(read_karpathy_split(files['en'], 'val', DropReport())) == [30]
    with pytest.raises(ValueError, match="no split 'restval'; it has test, val"):
        read_karpathy_split(files['en'], 'restval', DropReport())
    with pytest.raises(ValueError, match=r'not in the layout of dataset_coco\.json'):
        read_karpathy_split(files['ja'], 'test', DropReport())
    wanted = read_image_list(write(tmp_path / 'list.txt', [NAMES[30], '25', f'{NAMES[9]}.jpg']))
    assert list(wanted) == [30, 25, 9]
    report = DropReport()
    images = read_coco_captions({'zh': files['zh']}, report, wanted)
    assert [image.image_id for image in images] == ['25', '9']
    assert counts(report) == {'image of the split without a caption': 1}
    with pytest.raises(ValueError, match="line 2: 'dog' is no image such as"):
        read_image_list(write(tmp_path / 'list.txt', ['9', 'dog']))


def test_coco_with_faults(tmp_path: Path) -> None:
    report = DropReport()
    lines = [f'{NAMES[9]}#0\t人', 'no name', b'\xff', '', f'{NAMES[25]}#0\t狗']
    images = read_coco_captions({'zh': write(tmp_path / 'x.txt', lines)}, report)
    assert len(images) == 2 and counts(report) == {'not a name and a caption': 1, 'bad UTF-8': 1}
    annotations = [{'image_id': 9, 'caption': 'a'}, {'image_id': 9}, {'image_id': 9, 'caption': None}]
    path = write(tmp_path / 'x.json', [json.dumps({'images': [], 'annotations': annotations})])
    report = DropReport()
    images = read_coco_captions({'en': path}, report)
    assert [image.texts for image in images] == [[('en', 'a')]] and images[0].name == '000000000009.jpg'
    assert counts(report) == {'annotation without image_id or caption': 2}
    for text, message in (('{"images": []}', 'neither in the layout of COCO'), ('{"a":', 'is no JSON')):
        with pytest.raises(ValueError, match=message):
            read_coco_captions({'en': write(tmp_path / 'y.json', [text])}, report)


def test_coco_entries_without_a_number(tmp_path: Path) -> None:
    entry = {'cocoid': 9, 'filename': 'a.jpg', 'split': 'test', 'sentences': [{'raw': 'a'}]}
    bad = [{k: v for k, v in entry.items() if k != gone} for gone in ('cocoid', 'split', 'sentences')]
    bad += [{**entry, 'sentences': [{'tokens': []}]}, {**entry, 'cocoid': 'nine'}, 'no object']  # type: ignore[list-item]
    path = write(tmp_path / 'dataset_coco.json', [json.dumps({'images': [bad[0], entry, *bad[1:]]})])
    report = DropReport()
    assert read_karpathy_split(path, 'test', report) == {9: 'a.jpg'}
    assert counts(report) == {'image without cocoid or split': 4} and report.num_read == 4
    assert samples(report, 'image without cocoid or split')[0] == (
        'dataset_coco.json:images[0]',
        "KeyError 'cocoid': " + str(bad[0])[:80],
    )
    report = DropReport()
    (image,) = read_coco_captions({'en': path}, report)
    assert image.texts == [('en', 'a'), ('en', 'a')]  # the entry itself and its like without a split
    assert counts(report) == {'image without cocoid or sentences': 5}
    entries = {'images': [{'file_name': 'b.jpg'}, 3, {'id': 9}], 'annotations': [{'image_id': 9, 'caption': 'a'}, None]}
    report = DropReport()
    (image,) = read_coco_captions({'en': write(tmp_path / 'coco.json', [json.dumps(entries)])}, report)
    assert image.texts == [('en', 'a')]
    assert counts(report) == {'image without id': 2, 'annotation without image_id or caption': 1}


# ------------------------------------------------------------------------------------------------- flickr30k


def test_iglue_layout(tmp_path: Path) -> None:
    english = write(
        tmp_path / 'en.jsonl',
        [json.dumps({'sentences': ['a', 'b'], 'id': k, 'img_path': f'{k}.jpg'}) for k in (7, '8')],
    )
    german = write(tmp_path / 'de.jsonl', ['{"sentences": [""], "id": 8, "img_path": "8.jpg"}', '{', '{"id": 1}', '[]'])
    report = DropReport()
    records = records_of(read_iglue_captions({'en': english, 'de': german}, report), report)
    assert [record.image_id for record in records] == ['7', '8']
    assert records[1].texts == (('en', 'a'), ('en', 'b')) and records[1].image_path == '8.jpg'
    assert counts(report) == {'not JSON': 1, 'no id, img_path and sentences': 2, '(a text of a row) empty': 1}
    assert_all_accounted_for(report)


@needs_shared
def test_real_flickr30k_and_xflickrco() -> None:
    report = DropReport()
    path = SHARED / 'iglue/flickr30k/annotations/test_ann.jsonl'
    records = records_of(read_iglue_captions({'en': path}, report), report)
    assert records and {len(record.texts) for record in records} == {5} and counts(report) == {}
    files = {language: SHARED / f'iglue/xFlickrCO/annotations/{language}/test.jsonl' for language in ('en', 'de', 'ja')}
    report = DropReport()
    records = records_of(read_iglue_captions(files, report), report)
    assert len(records) == 2000 and counts(report) == {'(a text of a row) empty': 1}
    assert sum(len(record.texts) for record in records) == 5999


# ----------------------------------------------------------------------------------------------------- rows


def test_goes_on_behind_any_image() -> None:
    images = [RetrievalImage('same', 'same.jpg', f'x:{k}', [('en', f'{k}')]) for k in range(5)]
    whole = list(RetrievalImages(images, DropReport(), path_of)(None))
    assert [record.image_id for record, _, _ in whole] == ['same', *(f'same-{k}' for k in range(2, 6))]
    for place in range(5):
        assert records_of(images, DropReport(), whole[place][1]) == [record for record, _, _ in whole[place + 1 :]]


def test_image_without_captions_or_file() -> None:
    def find(name: str, where: str, report: DropReport, rows: int = 1) -> dict[str, Any] | None:
        report.fault('image file is missing', where, name)
        return None

    images = [RetrievalImage('a', 'a.jpg', 'x:1', [('en', ' ')]), RetrievalImage('b', 'b.jpg', 'x:2', [('en', 'b')])]
    report = DropReport()
    assert list(RetrievalImages(images, report, find)(None)) == []
    assert counts(report) == {'image file is missing': 1, 'no caption': 1, '(a text of a row) empty': 1}
    assert_all_accounted_for(report)
