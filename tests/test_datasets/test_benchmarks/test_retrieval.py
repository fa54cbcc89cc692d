"""Flickr30k, xFlickr&CO, WIT, Multi30K and MSCOCO: an image is one sample with all its captions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rc3mm.datasets.benchmarks import (
    AnnotationError,
    Flickr30k,
    MSCOCORetrieval,
    Multi30kRetrieval,
    Multi30kTranslation,
    PickCaption,
    WITRetrieval,
    XFlickrCO,
)
from rc3mm.datasets.benchmarks.wit import read_wit_captions
from rc3mm.datasets.orders import ShuffledOrder
from tests.test_datasets.test_benchmarks.making import flickr_line, wit_line, write_json, write_lines


def options(root: Path, *languages: str, **more: Any) -> dict[str, Any]:
    return {'ann_root': root, 'image_root': root / 'img', **({'languages': languages} if languages else {}), **more}


# ---------------------------------------------------------------------------------------- Flickr30k, xFlickr&CO


def xflickrco_root(folder: Path) -> Path:
    """Two images, the second of COCO, without a German caption."""
    for language, second in (('de', ''), ('ja', '二'), ('en', 'two')):
        lines = [flickr_line(1, [f'{language} one']), flickr_line(369771, [second], coco=True)]
        write_lines(folder / f'xFlickrCO/annotations/{language}/test.jsonl', lines)
    return folder


def test_languages_share_images(tmp_path: Path) -> None:
    dataset = XFlickrCO(**options(xflickrco_root(tmp_path), 'ja', 'de'))
    assert len(dataset) == 2
    assert dataset.get_sample(1) == {
        'item_id': '369771',
        'image_id': '369771',
        'source': 'retrieval',
        'image_path': str(tmp_path / 'img/val2014/COCO_val2014_000000369771.jpg'),
        'texts': [('ja', '二'), ('de', '')],
    }
    assert dataset.get_sample(0)['image_path'] == str(tmp_path / 'img/flickr30k-images/1.jpg')
    assert 'answers' not in dataset.metainfo and dataset.metainfo['languages'] == ('ja', 'de')


def test_empty_captions_stay_or_go(tmp_path: Path) -> None:
    root = xflickrco_root(tmp_path)
    assert len(XFlickrCO(**options(root, 'de'))) == 2
    assert len(XFlickrCO(**options(root, 'de', drop_empty=True))) == 1
    both = XFlickrCO(**options(root, 'de', 'en', drop_empty=True))
    assert [both.get_texts(k) for k in range(2)] == [[('de', 'de one'), ('en', 'en one')], [('en', 'two')]]


def test_shots_and_translations(tmp_path: Path) -> None:
    folder = tmp_path / 'xFlickrCO'
    for language in ('de', 'ja'):
        write_lines(folder / f'annotations/{language}/train_5.jsonl', [flickr_line(language, ['a'])])
    write_lines(folder / 'annotations_machine-translate/de/test_gmt.jsonl', [flickr_line(3, ['an English one'])])
    assert XFlickrCO(**options(tmp_path, 'de', split='train', shots=5)).get_image_id(0) == 'de'
    assert XFlickrCO(**options(tmp_path, 'de', translate_test=True)).get_texts(0) == [('de', 'an English one')]
    with pytest.raises(ValueError, match=r'the languages de, ja have different images, .* a dataset of its own'):
        XFlickrCO(**options(tmp_path, 'de', 'ja', split='train', shots=5))


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('{', r'test\.jsonl:2: not JSON'),
        ({'id': 3, 'img_path': '3.jpg'}, r"test\.jsonl:2: no id, img_path and sentences: 'sentences' is missing"),
        ({'id': 3, 'img_path': '3.jpg', 'sentences': [1]}, r'test\.jsonl:2: sentences are no list of texts'),
        (b'{"id": "\xff"}', r'test\.jsonl:2: bad UTF-8'),
        (flickr_line(3, []), 'XFlickrCO, split test, image 3: there is no caption in tr'),
    ],
)
def test_bad_lines_are_refused(tmp_path: Path, line: Any, message: str) -> None:
    write_lines(tmp_path / 'xFlickrCO/annotations/tr/test.jsonl', [flickr_line(1, ['a']), line])
    with pytest.raises(AnnotationError, match=message):
        XFlickrCO(**options(tmp_path, 'tr'))


def test_an_image_that_a_language_lacks_is_refused(tmp_path: Path) -> None:
    root = xflickrco_root(tmp_path)
    write_lines(root / 'xFlickrCO/annotations/ja/test.jsonl', [flickr_line(1, ['一'])])
    with pytest.raises(AnnotationError, match='image 369771: there is no caption in ja'):
        XFlickrCO(**options(root, 'en', 'ja'))


def test_one_caption_a_time(tmp_path: Path) -> None:
    lines = [flickr_line(k, [f'{k}-{n}' for n in range(5)]) for k in range(40)]
    write_lines(tmp_path / 'flickr30k/annotations/train_ann.jsonl', lines)
    dataset = Flickr30k(**options(tmp_path, split='train', pipeline=[dict(type='PickCaption')]))
    order = ShuffledOrder(len(dataset), (0,))
    batch = [dataset[index] for index in order.take(0, 0, len(dataset)).indices_N.tolist()]
    assert len({sample['image_id'] for sample in batch}) == len(batch) == 40  # no image twice in an epoch
    assert all(len(sample['texts']) == 1 and sample['texts'][0][1][0] for sample in batch)
    assert dataset[3]['texts'] == dataset[3]['texts'] and len(dataset.get_texts(3)) == 5


def test_captions_and_languages_are_drawn_evenly() -> None:
    texts = [*[('en', f'{k}') for k in range(5)], ('fr', 'un')]
    rng = np.random.default_rng(0)
    drawn = [PickCaption()({'texts': texts, 'rng': rng})['texts'][0] for _ in range(4000)]
    assert abs(sum(language == 'fr' for language, _ in drawn) / 4000 - 0.5) < 0.03
    for k in range(5):
        assert abs(drawn.count(('en', f'{k}')) / 4000 - 0.1) < 0.02


# -------------------------------------------------------------------------------------------------------- WIT


def test_wit_groups_captions_by_image(tmp_path: Path) -> None:
    lines = [wit_line(1, 'a'), wit_line(2, 'b'), wit_line(1, 'c'), wit_line(2, '\xa0')]
    write_lines(tmp_path / 'wit/annotations/test_ja.jsonl', lines)
    write_lines(tmp_path / 'wit/annotations_machine-translate/test_ja_gmt.jsonl', lines[:1])
    dataset = WITRetrieval(**options(tmp_path, 'ja'))
    assert [dataset.get_texts(k) for k in range(2)] == [[('ja', 'a'), ('ja', 'c')], [('ja', 'b'), ('ja', '\xa0')]]
    assert dataset.get_sample(0)['image_path'] == str(tmp_path / 'img/wit-test_1.jpg')
    dropped = WITRetrieval(**options(tmp_path, 'ja', drop_empty=True))
    assert dropped.get_texts(1) == [('ja', 'b')]
    assert len(WITRetrieval(**options(tmp_path, 'ja', translate_test=True))) == 1
    with pytest.raises(ValueError, match='the languages ja, ko have different images'):
        WITRetrieval(**options(tmp_path, 'ja', 'ko'))


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        (wit_line(1, 'a', 'ko'), "line 2: the key 'language' holds str 'ko', expected one of 'ja'"),
        (wit_line(1, 'a', image_url='https://x'), "line 2: the key 'image_url' holds 'https://x', but wit-test_1 had"),
        (wit_line(1, 'a', caption_reference_description=None), "'caption_reference_description' holds NoneType"),
    ],
)
def test_wit_with_a_bad_line(tmp_path: Path, line: Any, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_wit_captions(write_lines(tmp_path / 'test_ja.jsonl', [wit_line(1, 'a'), line]), 'ja')


# --------------------------------------------------------------------------------------------------- Multi30K


def multi30k_root(folder: Path, split: str = 'test_2016_flickr', names: tuple[str, ...] = ('1.jpg', '2.jpg')) -> Path:
    """Translations in four languages, and five captions in two."""
    write_lines(folder / f'data/task1/image_splits/{split}.txt', names)
    write_lines(folder / f'data/task2/image_splits/{split.removesuffix("_flickr")}_images.txt', names[::-1])
    for language in ('en', 'de', 'fr', 'cs'):
        lines = [f'{language} of {k}' for k in range(len(names))]
        write_lines(folder / f'data/task1/raw/{split}.{language}.gz', lines)
        for number in range(1, 6) if language in ('en', 'de') else ():
            path = folder / f'data/task2/raw/{split.removesuffix("_flickr")}.{number}.{language}.gz'
            write_lines(path, [f'{language} {number} of {name}' for name in names[::-1]])
    return folder


def test_multi30k_retrieval(tmp_path: Path) -> None:
    dataset = Multi30kRetrieval(**options(multi30k_root(tmp_path)))
    assert len(dataset) == 2 and [len(dataset.get_texts(k)) for k in range(2)] == [12, 12]
    assert dataset.get_texts(1)[0] == ('en', 'en 1 of 2.jpg') and dataset.get_texts(1)[-1] == ('cs', 'cs of 1')
    assert dataset.get_sample(1)['image_path'] == str(tmp_path / 'img/flickr30k-images/2.jpg')
    one = Multi30kRetrieval(**options(tmp_path, 'de', 'fr', five_captions=False))
    assert one.get_texts(0) == [('de', 'de of 0'), ('fr', 'fr of 0')]


def test_multi30k_translation(tmp_path: Path) -> None:
    dataset = Multi30kTranslation(**options(multi30k_root(tmp_path)))
    assert len(dataset) == 6 and dataset.metainfo['languages'] == ('de', 'fr', 'cs')
    assert dataset.get_sample(3) == {
        'item_id': 'fr-00002-2',
        'image_id': '2',
        'source': 'translation',
        'image_path': str(tmp_path / 'img/flickr30k-images/2.jpg'),
        'texts': [('en', 'en of 1')],
        'target': ('fr', 'fr of 1'),
    }
    back = Multi30kTranslation(**options(tmp_path, 'en', source_language='de'))
    assert back.get_sample(0)['texts'] == [('de', 'de of 0')] and back.metainfo['source_language'] == 'de'
    for more in ({'source_language': 'ja'}, {'languages': ['en']}):
        with pytest.raises(ValueError, match='source_language must be one of en, de, fr, cs and none of the target'):
            Multi30kTranslation(**options(tmp_path, **more))


def test_images_of_coco_that_come_twice(tmp_path: Path) -> None:
    names = ('COCO_train2014_000000117071.jpg#367178', 'COCO_train2014_000000117071.jpg#2')
    root = multi30k_root(tmp_path, 'test_2017_mscoco', names)
    dataset = Multi30kTranslation(**options(root, 'de', split='test_2017_mscoco'))
    samples = [dataset.get_sample(k) for k in range(2)]
    assert len({sample['item_id'] for sample in samples}) == 2 and len({sample['image_id'] for sample in samples}) == 1
    path = str(tmp_path / 'img/train2014/COCO_train2014_000000117071.jpg')
    assert [sample['image_path'] for sample in samples] == [path, path]
    retrieval = Multi30kRetrieval(**options(root, 'fr', split='test_2017_mscoco', five_captions=False))
    assert len(retrieval) == 1 and len(retrieval.get_texts(0)) == 2
    new = multi30k_root(tmp_path, 'test_2018_flickr')
    dataset = Multi30kTranslation(**options(new, 'cs', split='test_2018_flickr'))
    assert dataset.get_sample(0)['image_path'] == str(tmp_path / 'img/test_2018-flickr-images/1.jpg')


def test_multi30k_with_bad_lines(tmp_path: Path) -> None:
    raw = multi30k_root(tmp_path) / 'data/task1/raw'
    write_lines(raw / 'test_2016_flickr.fr.gz', ['un', b'\xff'])
    with pytest.raises(AnnotationError, match=r'test_2016_flickr\.fr\.gz:2: bad UTF-8'):
        Multi30kTranslation(**options(tmp_path, 'fr'))
    write_lines(raw / 'test_2016_flickr.fr.gz', ['un'])
    with pytest.raises(ValueError, match=r'has 1 lines for the 2 images'):
        Multi30kTranslation(**options(tmp_path, 'fr'))
    write_lines(raw / 'test_2016_flickr.fr.gz', ['un', ' '])
    with pytest.raises(AnnotationError, match='split test_2016_flickr, line 2: the reference in fr is empty'):
        Multi30kTranslation(**options(tmp_path, 'fr'))


# ----------------------------------------------------------------------------------------------------- MSCOCO


def mscoco_root(folder: Path, test: int = 3) -> Path:
    """Karpathy's file with one image of each other split, STAIR in two files, COCO-CN with two images."""
    splits = ['test'] * test + ['train', 'restval', 'val']
    names = [f'COCO_val2014_{k:012d}' for k in range(1, len(splits) + 1)]
    karpathy = [
        {
            'cocoid': k,
            'filepath': 'val2014',
            'filename': f'{name}.jpg',
            'split': split,
            'sentences': [{'raw': f'{k}-{n}'} for n in range(5)],
        }
        for k, (name, split) in enumerate(zip(names, splits, strict=True), start=1)
    ]
    write_json(folder / 'dataset_coco.json', {'images': karpathy})
    for part, numbers in (('train', range(1, 3)), ('val', range(3, len(splits) + 1))):
        stair = [{'id': k, 'image_id': k, 'caption': f'説明{k}', 'tokenized_caption': ''} for k in numbers]
        write_json(folder / f'stair_captions_v1.2_{part}_tokenized.json', {'images': [], 'annotations': stair})
    chinese = folder / 'coco-cn-version1805v1.1'
    write_lines(chinese / 'coco-cn_test.txt', [names[1], names[0]])
    lines = [f'{names[0]}#0\t人', f'{names[1]}#0\t狗', f'{names[2]}#0\t猫']
    write_lines(chinese / 'imageid.human-written-caption.txt', lines)
    return folder


def test_mscoco(tmp_path: Path) -> None:
    root = mscoco_root(tmp_path)
    dataset = MSCOCORetrieval(**options(root, 'ja', 'en'))
    assert [dataset.get_image_id(k) for k in range(3)] == ['1', '2', '3']
    assert dataset.get_texts(2) == [('ja', '説明3'), *[('en', f'3-{n}') for n in range(5)]]
    assert dataset.get_sample(0)['image_path'] == str(tmp_path / 'img/val2014/COCO_val2014_000000000001.jpg')
    train = MSCOCORetrieval(**options(root, 'en', split='train'))
    assert [train.get_image_id(k) for k in range(2)] == ['4', '5']  # restval is part of it
    chinese = MSCOCORetrieval(**options(root, 'zh'))
    assert [chinese.get_texts(k) for k in range(2)] == [[('zh', '狗')], [('zh', '人')]]
    assert chinese.get_sample(0)['image_path'] == str(tmp_path / 'img/val2014/COCO_val2014_000000000002.jpg')
    with pytest.raises(ValueError, match='the languages en, zh have different images'):
        MSCOCORetrieval(**options(root, 'en', 'zh'))


def test_mscoco_that_lacks_captions(tmp_path: Path) -> None:
    root = mscoco_root(tmp_path)
    write_json(root / 'stair_captions_v1.2_val_tokenized.json', {'images': [], 'annotations': []})
    with pytest.raises(AnnotationError, match='MSCOCORetrieval, split test, image 3: there is no caption in ja'):
        MSCOCORetrieval(**options(root, 'ja'))
    write_lines(root / 'coco-cn-version1805v1.1/coco-cn_test.txt', ['COCO_val2014_000000000077'])
    with pytest.raises(AnnotationError, match=r'COCO_val2014_000000000077\.jpg: image of the split without a caption'):
        MSCOCORetrieval(**options(root, 'zh'))


def test_folds_part_the_test(tmp_path: Path) -> None:
    root = mscoco_root(tmp_path, test=5000)
    folds = [MSCOCORetrieval(**options(root, 'en', fold=fold)) for fold in (0, 4)]
    assert [len(fold) for fold in folds] == [1000, 1000] and folds[1].metainfo['fold'] == 4
    assert [fold.get_image_id(0) for fold in folds] == ['1', '4001'] and folds[1].get_image_id(999) == '5000'
    for more in ({'fold': 5}, {'fold': 0, 'split': 'val'}, {'fold': 0, 'languages': ['zh']}):
        with pytest.raises(ValueError, match='fold must be 0 to 4, of split test in en and ja'):
            MSCOCORetrieval(**{**options(root, 'en'), **more})
    with pytest.raises(AnnotationError, match='a test split that is told in folds has 5000 images, not 3'):
        MSCOCORetrieval(**options(mscoco_root(tmp_path / 'small'), 'en', fold=0))
