"""JsonLinesPairs: both layouts, deterministic pairs, bad lines skipped and counted, evaluations whole."""

import base64
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader

from rc3mm.datasets import DecodeImage, JsonLinesPairs
from rc3mm.registry import DATASETS
from rc3mm.structures import Draw

DECODE = [dict(type='DecodeImage')]
CAPTION = {'en': 'a dog', 'de': 'ein Hund', 'fr': 'un chien', 'ja': '犬'}


def jpeg(shade: int = 0, size: tuple[int, int] = (12, 8)) -> bytes:
    buffer = io.BytesIO()
    Image.new('RGB', size, (shade, 100, 200)).save(buffer, 'JPEG')
    return buffer.getvalue()


def strict_line(shade: int = 0, **changes: Any) -> dict[str, Any]:
    return {'binary': base64.b64encode(jpeg(shade)).decode(), 'caption': CAPTION, **changes}


def weak_line(**changes: Any) -> dict[str, Any]:
    texts = [['en', 'violin'], ['de', 'Geige'], ['en', 'a string instrument'], ['zh', '小提琴']]
    return {'image': 'a.jpg', 'image_id': 'w1', 'texts': texts, **changes}


def write(path: Path, lines: list[Any]) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines]
    path.write_text('\n'.join(texts) + '\n', encoding='utf-8')
    return path


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr('rc3mm.datasets.bad_lines.print_log', lambda message, **_: said.append(message))
    return said


def make(path: Path, lines: list[Any], **arguments: Any) -> JsonLinesPairs:
    return JsonLinesPairs(**{'path': write(path / 'x.jsonl', lines), 'source': 'strict', **arguments})


# ---------------------------------------------------------------------------------------------------- layouts


def test_base64_layout(tmp_path: Path) -> None:
    dataset = make(tmp_path, [strict_line(k) for k in range(3)], pipeline=DECODE)
    sample = dataset.get_sample(1)
    assert sample['image_bytes'] == jpeg(1)
    assert (sample['image_id'], sample['source']) == ('x-000000002', 'strict')
    assert 'relevance' not in sample and 'image_path' not in sample
    assert dataset[1]['image'].shape == (8, 12, 3) and dataset[1]['image'].dtype == np.uint8
    assert dataset.get_image(2).shape == (8, 12, 3)
    assert len(dataset) == dataset.metainfo['num_items'] == 3


def test_path_layouts(tmp_path: Path) -> None:
    (tmp_path / 'a.jpg').write_bytes(jpeg())
    lines = [weak_line(), {'binary': 'a.jpg', 'caption': CAPTION, 'image_id': 7}]
    dataset = make(tmp_path, lines, source='weak', image_root=tmp_path, pipeline=DECODE)
    assert [sample['image_id'] for sample in (dataset[0], dataset[1])] == ['w1', '7']
    assert dataset[0]['image_path'] == dataset[1]['image_path'] == str(tmp_path / 'a.jpg')
    assert dataset[0]['image'].shape == (8, 12, 3)


def test_two_texts_in_two_wanted_languages(tmp_path: Path) -> None:
    dataset = make(tmp_path, [weak_line()] * 200, source='weak', languages=('en', 'de', 'fr'))
    drawn = [dataset.get_sample(k)['texts'] for k in range(200)]
    assert {tuple(sorted(language for language, _ in texts)) for texts in drawn} == {('de', 'en')}
    order = Counter(texts[0][0] for texts in drawn)
    english = Counter(text for texts in drawn for language, text in texts if language == 'en')
    assert min(order.values()) > 60 and min(english.values()) > 60 and len(english) == 2


def test_language_pairs_are_drawn_evenly(tmp_path: Path) -> None:
    dataset = make(tmp_path, [strict_line()] * 600)
    drawn = Counter(tuple(sorted(t[0] for t in dataset.get_sample(k)['texts'])) for k in range(600))
    assert len(drawn) == 6 and min(drawn.values()) > 60


def test_deterministic_by_seed_and_index_or_draw(tmp_path: Path) -> None:
    lines = [strict_line()] * 50
    first, again = (make(tmp_path, lines, seed=5) for _ in range(2))
    other = make(tmp_path, lines, seed=6)
    texts = [first.get_sample(k)['texts'] for k in range(50)]
    assert texts == [again[k]['texts'] for k in range(50)] == [again[k - 50]['texts'] for k in range(50)]
    assert texts != [other[k]['texts'] for k in range(50)]
    draws = [Draw(3, (0, position), 0, position, 9) for position in range(50)]
    drawn = [first[draw] for draw in draws]
    assert [sample['texts'] for sample in drawn] == [other[draw]['texts'] for draw in draws]
    assert len({str(sample['texts']) for sample in drawn}) > 5  # later epochs show other pairs
    assert [sample['iteration'] for sample in drawn] == list(range(50)) and drawn[0]['step_seed'] == 9


def test_all_texts(tmp_path: Path) -> None:
    dataset = make(tmp_path, [weak_line(), strict_line()], source='retrieval', all_texts=True, split='val')
    assert dataset[0]['texts'] == [tuple(pair) for pair in weak_line()['texts']]
    assert dataset[1]['texts'] == list(CAPTION.items())
    only = make(tmp_path, [strict_line()], source='retrieval', all_texts=True, languages=['ja'])
    assert only[0]['texts'] == [('ja', '犬')]
    assert only.metainfo['languages'] == ('ja',) and dataset.metainfo['split'] == 'val'


def test_range_of_lines(tmp_path: Path) -> None:
    lines = [strict_line(image_id=k) for k in range(6)]
    parts = [make(tmp_path, lines, start=a, stop=b) for a, b in ((0, 4), (4, 9), (4, None))]
    ids = [[part.get_sample(k)['image_id'] for k in range(len(part))] for part in parts]
    assert ids == [['0', '1', '2', '3'], ['4', '5'], ['4', '5']]
    with pytest.raises(ValueError, match=r'has 6 lines, none of them in \[6, None\)'):
        make(tmp_path, lines, start=6)


# -------------------------------------------------------------------------------------------------- relevance


def test_relevance_by_number_and_by_pair(tmp_path: Path) -> None:
    one = make(tmp_path, [weak_line(relevance=0.25)], source='weak', need_relevance=True)
    assert one[0]['relevance'] == 0.25
    lines = [weak_line(relevance={'0-1': 0.5, '3-2': 1})] * 60
    pairs = make(tmp_path, lines, source='weak', need_relevance=True)
    seen = {(frozenset(dict(pairs[k]['texts'])), pairs[k]['relevance']) for k in range(60)}
    assert seen == {(frozenset({'en', 'de'}), 0.5), (frozenset({'en', 'zh'}), 1.0)}
    assert 'relevance' not in make(tmp_path, [weak_line()], source='weak')[0]


# -------------------------------------------------------------------------------------------------- bad lines

BAD = {
    'not JSON': '{"binary": ',
    'not a JSON object': '[1]',
    'no image': {'caption': CAPTION},
    'broken base64': strict_line(binary='images/without_extension'),
    'no texts': {'binary': 'a.jpg'},
    'texts are not pairs of language and text': weak_line(texts=[['en', 3]]),
    'no texts in two wanted languages': strict_line(caption={'en': 'a', 'de': '  ', 'xx': 'b'}),
    'no relevance': strict_line(),
    'relevance outside [0, 1]': weak_line(relevance=1.5),
    'relevance keys are not pairs of positions such as "0-1"': weak_line(relevance={'en-de': 0.5}),
    'broken image': weak_line(binary=base64.b64encode(jpeg()[:200]).decode(), image=None, relevance=0.5),
}


@pytest.mark.parametrize('reason', BAD)
def test_bad_line_is_replaced_by_the_next_good_one(tmp_path: Path, logged: list[str], reason: str) -> None:
    good = [
        strict_line(image_id=k, caption=None, texts=list(map(list, CAPTION.items())), relevance=0.5) for k in range(8)
    ]
    lines = [good[0], '', BAD[reason], BAD[reason], *good[1:]]
    arguments = dict(languages=['en', 'de'], need_relevance=True, max_bad_share=0.3, pipeline=DECODE)
    dataset = make(tmp_path, lines, **arguments)
    for _ in range(2):
        assert [dataset[k]['image_id'] for k in range(5)] == ['0', '1', '1', '1', '2']
    assert dataset.guard.counts == {reason: 2}
    assert len(logged) == 1 and f'{tmp_path}/x.jsonl, line 3: {reason}' in logged[0]


def test_last_line_is_replaced_by_the_first(tmp_path: Path) -> None:
    dataset = make(tmp_path, [*(strict_line(image_id=k) for k in range(4)), '{'], max_bad_share=0.5)
    assert dataset[4]['image_id'] == '0'


def test_too_many_bad_lines(tmp_path: Path, logged: list[str]) -> None:
    lines = ['{' if k % 20 == 5 else strict_line(image_id=k) for k in range(200)]
    dataset = make(tmp_path, lines)  # 5 % are bad; 1 % of 200 are two lines
    with pytest.raises(ValueError, match=r'x\.jsonl, line 46: not JSON.*3 bad of .*not JSON \(3: line 6, 26, 46\)'):
        for k in range(200):
            dataset.get_sample(k)
    assert len(logged) == 1


def test_missing_images_end_a_run_early(tmp_path: Path, logged: list[str]) -> None:
    dataset = make(tmp_path, [weak_line()] * 5000, source='weak', image_root='nowhere', pipeline=DECODE)
    with pytest.raises(ValueError, match=r'11 bad of 11 lines read.*nowhere/a\.jpg|nowhere/a\.jpg.*11 bad of 11'):
        dataset[0]


def test_evaluations_are_whole(tmp_path: Path) -> None:
    broken = strict_line(binary=base64.b64encode(b'nothing').decode())
    lines = [*([strict_line()] * 300), broken]
    dataset = make(tmp_path, lines, all_texts=True, max_bad_share=0.5, pipeline=DECODE)
    with pytest.raises(ValueError, match=r'line 301: broken image: image x-000000301 .*Mend or remove these lines\.$'):
        dataset[300]
    alien = make(tmp_path, [strict_line()], all_texts=True, languages=['sw'])
    with pytest.raises(ValueError, match=r"line 1: no text in a wanted language: it has texts in \['en', "):
        alien[0]


def test_other_errors_are_not_swallowed(tmp_path: Path) -> None:
    def fail(sample: dict[str, Any]) -> dict[str, Any]:
        raise ValueError('a bug')

    dataset = make(tmp_path, [strict_line()] * 3, pipeline=[DecodeImage(), fail], max_bad_share=0.9)
    with pytest.raises(ValueError, match=r'^a bug$'):
        dataset[0]


# --------------------------------------------------------------------------------------------------- the rest


def test_wrong_arguments(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='two languages'):
        make(tmp_path, [strict_line()], languages=['en'])
    with pytest.raises(ValueError, match='max_bad_share'):
        make(tmp_path, [strict_line()], max_bad_share=1.0)
    with pytest.raises(IndexError):
        make(tmp_path, [strict_line()])[1]


def test_registered_and_same_in_workers(tmp_path: Path) -> None:
    path = write(tmp_path / 'x.jsonl', [strict_line(k) for k in range(12)])
    config = dict(type='JsonLinesPairs', path=str(path), source='strict', pipeline=DECODE)
    dataset = DATASETS.build(config)
    dataset[0]
    loader = DataLoader(dataset, batch_size=None, num_workers=2, collate_fn=lambda sample: sample)
    for index, sample in enumerate(loader):
        assert sample['texts'] == dataset[index]['texts']
        assert (sample['image'] == dataset[index]['image']).all()
