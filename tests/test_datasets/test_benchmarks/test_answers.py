"""XVNLI, GQA, xGQA, NLVR2 and MaRVL: rows, labels, samples, and every named kind of bad input."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rc3mm.datasets.benchmarks import GQA, NLVR2, XGQA, XVNLI, AnnotationError, MaRVL
from rc3mm.datasets.benchmarks.gqa import read_answer_labels, read_gqa
from tests.test_datasets.test_benchmarks.making import (
    marvl_line,
    write_image,
    write_json,
    write_labels,
    write_lines,
    xvnli_line,
    xvnli_root,
)


def options(root: Path, *languages: str, **more: Any) -> dict[str, Any]:
    return {'ann_root': root, 'image_root': root / 'img', 'languages': languages or None, **more}


# ---------------------------------------------------------------------------------------------------- XVNLI


def test_xvnli_samples(tmp_path: Path) -> None:
    xvnli_root(tmp_path, [xvnli_line(k, gold) for k, gold in enumerate(('entailment', 'contradiction', '-'))], 'en')
    xvnli_root(tmp_path, [xvnli_line(4)], 'fr')
    dataset = XVNLI(**options(tmp_path, 'fr', 'en'))
    assert len(dataset) == 4
    assert [dataset.get_sample(k)['label'] for k in range(4)] == [1, 2, 0, -1]
    assert dataset.get_sample(1) == {
        'item_id': 'en-0.jpg#0r0e',
        'image_id': '0',
        'source': 'xvnli',
        'image_path': str(tmp_path / 'img/flickr30k-images/0.jpg'),
        'texts': [('en', 'hypothesis 0')],
        'label': 2,
        'answer': 'entailment',
    }
    assert dataset.metainfo == {
        'dataset_name': 'XVNLI',
        'source': 'xvnli',
        'split': 'test',
        'languages': ('fr', 'en'),
        'num_items': 4,
        'answers': ('contradiction', 'neutral', 'entailment'),
    }


def test_files_of_shots_and_translations(tmp_path: Path) -> None:
    root = tmp_path / 'XVNLI'
    write_lines(root / 'annotations/ar/train_5.jsonl', [xvnli_line(1)])
    write_lines(root / 'annotations_machine-translate/ar/test.jsonl', [xvnli_line(2)])
    few = XVNLI(**options(tmp_path, 'ar', split='train', shots=5))
    assert few.get_sample(0)['texts'] == [('ar', 'hypothesis 1')] and few.metainfo['shots'] == 5
    translated = XVNLI(**options(tmp_path, 'ar', translate_test=True))
    assert translated.get_sample(0)['texts'] == [('ar', 'hypothesis 2')] and translated.metainfo['translate_test']


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        (
            xvnli_line(1, 'entails'),
            "test.jsonl, line 2: the key 'gold_label' holds str 'entails', expected one of 'contra",
        ),
        ({**xvnli_line(1), 'sentence2': None}, "line 2: the key 'sentence2' holds NoneType None, expected a text"),
        ({k: v for k, v in xvnli_line(1).items() if k != 'Flikr30kID'}, "line 2: the key 'Flikr30kID' is missing"),
        (b'{"gold_label": "\xff"}', 'line 2: bad UTF-8'),
    ],
)
def test_xvnli_with_a_bad_line(tmp_path: Path, line: Any, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        XVNLI(**options(xvnli_root(tmp_path, [xvnli_line(0), line, xvnli_line(2)]), 'en'))


# ------------------------------------------------------------------------------------------------------ GQA


def question(answer: str, text: str = 'Was?') -> dict[str, Any]:
    return {'question': text, 'imageId': 'n1', 'answer': answer, 'isBalanced': True}


def test_xgqa_samples(tmp_path: Path) -> None:
    write_labels(tmp_path)
    folder = tmp_path / 'xGQA/annotations'
    write_json(folder / 'few_shot/de/test.json', {'201': question('dog'), '202': question('unicorn')})
    write_json(folder / 'few_shot/de/train_5.json', {'203': question('no')})
    write_json(folder / 'zero_shot/testdev_balanced_questions_de.json', {'204': question('no')})
    write_json(tmp_path / 'xGQA/annotations_machine-translate/few_shot/de/test_gmt.json', {'205': question('no')})
    dataset = XGQA(**options(tmp_path, 'de'))
    assert [dataset.get_sample(k)['label'] for k in range(2)] == [2, -1]
    assert dataset.get_sample(1) == {
        'item_id': 'de-202',
        'image_id': 'n1',
        'source': 'gqa',
        'image_path': str(tmp_path / 'img/images/n1.jpg'),
        'texts': [('de', 'Was?')],
        'label': -1,
        'answer': 'unicorn',
    }
    for kind, item_id in (
        ({'split': 'train', 'shots': 5}, 'de-203'),
        ({'split': 'testdev'}, 'de-204'),
        ({'translate_test': True}, 'de-205'),
    ):
        assert XGQA(**options(tmp_path, 'de', **kind)).get_sample(0)['item_id'] == item_id


def test_english_rows_of_gqa(tmp_path: Path) -> None:
    row = {'img_id': 'n2', 'label': {'no': 0.3, 'yes': 1.0}, 'question_id': '7', 'sent': 'Is it?'}
    path = write_json(write_labels(tmp_path) / 'gqa/annotations/train.json', [row, {**row, 'label': {}}])
    dataset = GQA(**options(tmp_path, split='train'))
    assert [dataset.get_sample(k)['label'] for k in range(2)] == [1, -1]
    assert dataset.get_sample(0)['item_id'] == 'en-7' and dataset.get_sample(0)['texts'] == [('en', 'Is it?')]
    for bad, message in (
        ({'7': row}, r'train\.json: expected a list of questions, found a dict'),
        ([row, {**row, 'label': 'no'}], r"train\.json, item 1: the key 'label' holds str 'no', expected an object"),
        ([{**row, 'label': {'no': None}}], 'item 0: .* expected answers with scores'),
    ):
        with pytest.raises(AnnotationError, match=message):
            read_gqa(write_json(path, bad))


def test_a_question_that_lacks_something(tmp_path: Path) -> None:
    write_labels(tmp_path)
    write_json(tmp_path / 'xGQA/annotations/few_shot/de/test.json', {'201': {'question': 'Was?', 'imageId': 'n1'}})
    with pytest.raises(AnnotationError, match=r"test\.json, question 201: the key 'answer' is missing"):
        XGQA(**options(tmp_path, 'de'))


def test_label_maps(tmp_path: Path) -> None:
    folder = write_labels(tmp_path, ['b', 'a']) / 'gqa/annotations'
    assert read_answer_labels(folder) == ('b', 'a')
    write_json(folder / 'trainval_ans2label.json', {'a': 0, 'b': 1})
    with pytest.raises(AnnotationError, match='its 2 answers are not those of trainval_ans2label'):
        read_answer_labels(folder)
    for path in folder.iterdir():
        path.unlink()
    (folder / 'trainval_label2ans.pkl').write_bytes(pickle.dumps(['b', 'a']))
    with pytest.raises(FileNotFoundError, match=r'trainval_ans2label\.json \(nor trainval_ans2label\.pkl\)'):
        read_answer_labels(folder)
    (folder / 'trainval_ans2label.pkl').write_bytes(pickle.dumps({'a': 1, 'b': 0}))
    assert read_answer_labels(folder) == ('b', 'a')
    (folder / 'trainval_ans2label.pkl').write_bytes(pickle.dumps(Path))
    with pytest.raises(ValueError, match=r'trainval_ans2label\.pkl was refused'):
        read_answer_labels(folder)


# ---------------------------------------------------------------------------------------- NLVR2 and MaRVL


def nlvr2_line(identifier: str, label: Any = 'True', **more: Any) -> dict[str, Any]:
    return {'identifier': identifier, 'sentence': 'Two dogs.', 'label': label, **more}


def test_nlvr2_samples(tmp_path: Path) -> None:
    folder = tmp_path / 'nlvr2/annotations'
    write_lines(folder / 'dev.jsonl', [nlvr2_line('dev-850-0-1', 'False'), nlvr2_line('dev-850-2-1')])
    write_lines(folder / 'train.jsonl', [nlvr2_line('train-1-0-0', directory=79)])
    dev, train = (NLVR2(**options(tmp_path, split=split)) for split in ('dev', 'train'))
    image = str(tmp_path / 'img/images/dev/dev-850-0-img{}.png')
    assert dev.get_sample(0) == {
        'item_id': 'en-dev-850-0-1',
        'image_id': 'dev-850-0-img0+dev-850-0-img1',
        'source': 'nlvr2',
        'images': [{'image_id': f'dev-850-0-img{k}', 'image_path': image.format(k)} for k in range(2)],
        'texts': [('en', 'Two dogs.')],
        'label': 0,
        'answer': 'False',
        'group': 'dev-850-1',
    }
    assert dev.get_sample(1)['group'] == 'dev-850-1' and dev.get_sample(1)['label'] == 1
    assert train.get_sample(0)['images'][0]['image_path'] == str(tmp_path / 'img/images/train/79/train-1-0-img0.png')


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        (nlvr2_line('dev-850-0'), "line 1: the key 'identifier' holds 'dev-850-0', expected four parts"),
        (nlvr2_line('dev-8-0-0', 'true'), "line 1: the key 'label' holds str 'true', expected one of 'False', 'True'"),
        (nlvr2_line('dev-8-0-0', True), "line 1: the key 'label' holds bool True, expected a text"),
    ],
)
def test_nlvr2_with_a_bad_line(tmp_path: Path, line: Any, message: str) -> None:
    write_lines(tmp_path / 'nlvr2/annotations/dev.jsonl', [line])
    with pytest.raises(AnnotationError, match=message):
        NLVR2(**options(tmp_path, split='dev'))


def test_marvl_samples(tmp_path: Path) -> None:
    root = tmp_path / 'marvl'
    write_lines(root / 'zero_shot/annotations/marvl-zh.jsonl', [marvl_line(k) for k in range(5)])
    write_lines(root / 'zero_shot/annotations_machine-translate/marvl-zh_gmt.jsonl', [marvl_line(9)])
    write_lines(root / 'few_shot/annotations/marvl-zh_train10x2.jsonl', [marvl_line(1, folder='82-铅笔/')])
    dataset = MaRVL(**options(tmp_path, 'zh'))
    sample = dataset.get_sample(1)
    assert sample['item_id'] == 'zh-1' and sample['image_id'] == 'zh-82-1+zh-82-2' and sample['label'] == 0
    assert sample['images'][0]['image_path'] == str(tmp_path / 'img/marvl-images/zh/images/82-铅笔/82-1.jpg')
    assert [dataset.get_sample(k)['group'] for k in range(5)] == ['zh-0'] * 4 + ['zh-4']
    few = MaRVL(**options(tmp_path, 'zh', split='train', shots='10x2')).get_sample(0)
    assert few['images'][0] == {
        'image_id': 'zh-few-82-1',
        'image_path': str(tmp_path / 'img/marvl_fewshot/zh/all/82-1.jpg'),
    }
    assert MaRVL(**options(tmp_path, 'zh', translate_test=True)).get_sample(0)['item_id'] == 'zh-9'


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        (marvl_line(0, 'tr'), "line 1: the key 'language' holds str 'tr', expected one of 'zh'"),
        (marvl_line(0, label='True'), "line 1: the key 'label' holds str 'True', expected true or false"),
    ],
)
def test_marvl_with_a_bad_line(tmp_path: Path, line: Any, message: str) -> None:
    write_lines(tmp_path / 'marvl/zero_shot/annotations/marvl-zh.jsonl', [line])
    with pytest.raises(AnnotationError, match=message):
        MaRVL(**options(tmp_path, 'zh'))


# ------------------------------------------------------------------------------------- what all have in common


@pytest.mark.parametrize(
    ('more', 'message'),
    [
        ({'split': 'val'}, "XVNLI has no split 'val'; it has train, dev, test"),
        ({'languages': ['de']}, r"languages must be some of ar, en, es, fr, ru, each once; got \['de'\]"),
        ({'languages': ['fr', 'fr']}, 'each once'),
        ({'languages': []}, r'got \[\]'),
        ({'split': 'train', 'shots': 3}, "has few-shot sets of 1, 5, 10, 20, 25, 48, with split='train'; got shots=3"),
        ({'shots': 5}, "got shots=5 with split='test'"),
        ({'split': 'dev', 'translate_test': True}, "translate_test needs split='test' and languages other than en"),
        ({'translate_test': True}, 'languages other than en'),
        ({'image_template': 'images/{name}.jpg'}, r"image_template 'images/\{name\}.jpg' must have .* \{image_id\}"),
        ({'image_template': 'images/0.jpg'}, 'must have some of the fields'),
        ({'split': 'train', 'languages': ['fr']}, r'no .*fr/train\.jsonl; the folder .*fr has test\.jsonl'),
    ],
)
def test_choices_that_a_benchmark_does_not_have(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    xvnli_root(tmp_path, [xvnli_line(0)], 'fr')
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        XVNLI(**{**options(tmp_path), **more})


def test_benchmarks_without_shots_or_translations(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='NLVR2 has no few-shot sets; got shots=5'):
        NLVR2(**options(tmp_path, split='train', shots=5))
    with pytest.raises(ValueError, match='NLVR2 has no machine-translated test set'):
        NLVR2(**options(tmp_path, translate_test=True))
    write_lines(tmp_path / 'nlvr2/annotations/dev.jsonl', [''])
    with pytest.raises(ValueError, match=r'NLVR2, split dev: its files in .* hold no item'):
        NLVR2(**options(tmp_path, split='dev'))


def test_images_lie_elsewhere_and_go_through_the_pipeline(tmp_path: Path) -> None:
    root = xvnli_root(tmp_path, [xvnli_line(0)], 'fr')
    write_image(tmp_path / 'img/fr-less/0.png', shade=7)
    template, steps = 'fr-less/{image_id}.png', [dict(type='DecodeImage'), dict(type='ResizeImage', size=32)]
    dataset = XVNLI(**options(root, 'fr', image_template=template, pipeline=steps))
    assert dataset[0]['image'].shape == (32, 32, 3) and dataset.get_image(0).shape == (8, 12, 3)
    assert dataset[0]['label'] == 1 and dataset.get_image_id(0) == '0'


def test_two_images_are_shown_side_by_side(tmp_path: Path) -> None:
    write_lines(tmp_path / 'nlvr2/annotations/dev.jsonl', [nlvr2_line('dev-850-0-0')])
    dataset = NLVR2(**options(tmp_path, split='dev'))
    for image, size in zip(dataset.get_sample(0)['images'], ((12, 8), (5, 20)), strict=True):
        write_image(image['image_path'], size)
    picture = dataset.get_image(0)
    assert picture.shape == (20, 17, 3) and np.all(picture[8:, :12] == 255) and np.all(picture[:, 12:, 1] == 100)
