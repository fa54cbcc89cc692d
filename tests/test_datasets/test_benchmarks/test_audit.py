"""What a set is checked for: each oddity is found, the published ones are known, the others are refused."""

from pathlib import Path
from typing import Any

import pytest

from rc3mm.datasets.benchmarks import (
    XVNLI,
    Expected,
    MSCOCORetrieval,
    UnexpectedDataError,
    WITRetrieval,
    XFlickrCO,
    audit,
    audit_dataset,
    expected_counts,
    refuse_unknown,
)
from tests.test_datasets.test_benchmarks.making import (
    flickr_line,
    wit_line,
    write_image,
    write_lines,
    xvnli_line,
    xvnli_root,
)


def sample(number: int, **more: Any) -> dict[str, Any]:
    """An answerable item without a file."""
    about = {'item_id': f'de-{number}', 'image_id': f'{number // 2}', 'image': None, 'label': 0, 'answer': 'no'}
    return {**about, 'texts': [('de', f'question {number}')], **more}


def findings_of(samples: list[dict[str, Any]], expected: Expected | None = None, **more: Any) -> list[tuple[Any, ...]]:
    result = audit(samples, {'de': expected} if expected else {}, **more)
    return [(finding.kind, str(finding), finding.known) for finding in result.findings]


def test_a_set_that_is_as_it_should_be() -> None:
    result = audit([sample(k) for k in range(10)], {'de': Expected((10,), (5,))})
    assert result.findings == () and result.num_images == 5
    counts = result.counts['de']
    assert (counts.items, counts.texts, len(counts.images)) == (10, 10, 5)
    refuse_unknown(result, 'x')


@pytest.mark.parametrize(
    ('more', 'kind', 'text'),
    [
        ({'item_id': 'de-0'}, 'duplicate_ids', 'de: 1 id twice or more: de-0'),
        ({'texts': [('de', '\xa0\u3000')]}, 'empty_texts', 'de: 1 empty text: de-3'),
        ({'label': -1, 'answer': '-'}, 'unlabelled', 'de: 1 item without a gold label: de-3'),
        ({'label': -1, 'answer': ''}, 'unlabelled', 'de: 1 item without a gold label: de-3'),
        ({'label': -1, 'answer': 'unicorn'}, 'outside_labels', 'de: 1 answer outside the classes: de-3'),
        ({'image': None, 'image_path': '/no/x.jpg'}, 'missing_images', '1 of 5 images missing: /no/x.jpg'),
        (
            {'images': [{'image_id': 'a', 'image_path': '/no/a'}, {'image_id': 'b', 'image_path': '/no/b'}]},
            'missing_images',
            '2 of 6 images missing: /no/a, /no/b',
        ),
    ],
)
def test_each_oddity_is_found(more: dict[str, Any], kind: str, text: str) -> None:
    samples = [sample(k, **(more if k == 3 else {})) for k in range(8)]
    assert findings_of(samples) == [(kind, text, False)]


def test_names_are_three_at_most() -> None:
    samples = [sample(k, image_path=f'/no/{k}.jpg') for k in range(1500)]
    ((_, text, _),) = findings_of(samples)
    assert text == '1,500 of 1,500 images missing: /no/0.jpg, /no/1.jpg, /no/2.jpg, ...'
    assert findings_of(samples, exists=lambda path: True) == []


def test_counts_that_differ_from_what_was_published() -> None:
    samples = [sample(k) for k in range(6)]
    assert findings_of(samples, Expected((7,), (4,))) == [
        ('counts', 'de: 6 texts instead of 7', False),
        ('counts', 'de: 3 images instead of 4', False),
    ]
    assert findings_of(samples, Expected((7, 6), note='an older release')) == [
        ('counts', 'de: 6 texts instead of 7 (an older release)', True)
    ]


def test_as_many_oddities_as_are_known_and_no_more() -> None:
    known = Expected(unlabelled=2, empty=1)
    odd = {'label': -1, 'answer': '-'}
    for number, is_known in ((1, True), (2, True), (3, False)):
        samples = [sample(k, **(odd if k < number else {})) for k in range(6)]
        ((kind, _, verdict),) = findings_of(samples, known)
        assert (kind, verdict) == ('unlabelled', is_known)


def test_translations_count_for_their_target() -> None:
    samples = [
        {'item_id': f'{k}', 'image_id': f'{k}', 'image': None, 'texts': [('en', text)], 'target': ('fr', 'un')}
        for k, text in enumerate(('one', ''))
    ]
    result = audit(samples, {})
    assert result.counts['fr'].texts == 2 and result.counts['fr'].empty == ['1'] and 'en' not in result.counts


def test_unknown_oddities_are_refused_unless_allowed() -> None:
    samples = [sample(k, image_path='/no/0.jpg', texts=[('de', '')] if k else [('de', 'a')]) for k in range(2)]
    result = audit(samples, {'de': Expected(empty=1)})
    message = r'mine is not as published: 1 of 1 images missing: /no/0\.jpg\. Mend it, or allow missing_images'
    with pytest.raises(UnexpectedDataError, match=message):
        refuse_unknown(result, 'mine')
    refuse_unknown(result, 'mine', allow=['missing_images'])
    with pytest.raises(ValueError, match=r"allow takes some of counts, .*; got 'images'"):
        refuse_unknown(result, 'mine', allow=['images'])


# ----------------------------------------------------------------------------------- of published benchmarks


def test_xvnli_with_and_without_its_fourteen(tmp_path: Path) -> None:
    lines = [xvnli_line(k, '-' if k < 14 else 'neutral') for k in range(1164)]
    dataset = XVNLI(ann_root=xvnli_root(tmp_path, lines, 'ar'), image_root=tmp_path, languages=['ar'])
    kinds = {finding.kind: finding for finding in audit_dataset(dataset).findings}
    assert kinds['unlabelled'].known and 'CCLM leaves them out' in kinds['unlabelled'].text
    assert kinds['counts'].text == '388 images instead of 357' and not kinds['counts'].known
    # IGLUE's and CCLM's accuracy of the same 654 right answers (UC2, Arabic: 56.186)
    gold = sum(dataset.get_sample(k)['label'] >= 0 for k in range(len(dataset)))
    assert (len(dataset), gold) == (1164, 1150)
    assert round(100 * 654 / len(dataset), 3) == 56.186 and round(100 * 654 / gold, 3) == 56.870
    xvnli_root(tmp_path, [*lines[1:], xvnli_line(1164, '-'), xvnli_line(1165, '-')], 'ar')
    dataset = XVNLI(ann_root=tmp_path, image_root=tmp_path, languages=['ar'])
    assert {f.kind for f in audit_dataset(dataset).unknown()} >= {'unlabelled', 'counts'}


def test_the_empty_captions_of_xflickrco_and_wit(tmp_path: Path) -> None:
    for language in ('id', 'tr'):
        lines = [flickr_line(k, ['' if k == 5 else 'a']) for k in range(2000)]
        write_lines(tmp_path / f'xFlickrCO/annotations/{language}/test.jsonl', lines)
    for language, odd in (('id', {'empty_texts'}), ('tr', set())):
        for drop, known in ((False, odd), (True, {'counts'} if odd else set())):
            dataset = XFlickrCO(ann_root=tmp_path, image_root=tmp_path, languages=[language], drop_empty=drop)
            found = {f.kind for f in audit_dataset(dataset).findings if f.known}
            assert found == known, (language, drop)
    for language, caption, is_known in (('el', '\xa0', True), ('ko', '\xa0', False)):
        write_lines(tmp_path / f'wit/annotations/test_{language}.jsonl', [wit_line(1, caption, language)])
        dataset = WITRetrieval(ann_root=tmp_path, image_root=tmp_path, languages=[language])
        assert [f.known for f in audit_dataset(dataset).findings if f.kind == 'empty_texts'] == [is_known]


def test_the_row_that_arabic_wit_lost(tmp_path: Path) -> None:
    for count, verdict in ((890, []), (891, [True]), (889, [False])):
        write_lines(tmp_path / 'wit/annotations/test_ar.jsonl', [wit_line(k, 'a', 'ar') for k in range(count)])
        dataset = WITRetrieval(ann_root=tmp_path, image_root=tmp_path, languages=['ar'])
        assert [f.known for f in audit_dataset(dataset).findings if f.kind == 'counts'] == verdict


def test_images_that_are_there(tmp_path: Path) -> None:
    write_lines(tmp_path / 'wit/annotations/test_ko.jsonl', [wit_line(k, 'a', 'ko') for k in range(3)])
    dataset = WITRetrieval(ann_root=tmp_path, image_root=tmp_path, languages=['ko'])
    for number in (0, 2):
        write_image(dataset.get_sample(number)['image_path'])
    (finding,) = audit_dataset(dataset).findings
    assert str(finding) == f'1 of 3 images missing: {tmp_path}/wit-test_1.jpg'


def test_what_is_expected_of_parts_of_a_benchmark() -> None:
    about = {'dataset_name': 'XGQA', 'split': 'train', 'languages': ('de', 'zh'), 'shots': 48}
    assert expected_counts(about) == {code: Expected((1490,), (48,)) for code in ('de', 'zh')}
    parts = [expected_counts({**about, 'split': split, 'shots': None})['de'].texts[0] for split in ('test', 'dev')]
    assert sum(parts) + 1490 == expected_counts({**about, 'split': 'testdev', 'shots': None})['de'].texts[0]
    assert expected_counts({**about, 'dataset_name': 'GQA', 'shots': None}) == {}
    fold = {'dataset_name': MSCOCORetrieval.__name__, 'split': 'test', 'languages': ('ja',), 'fold': 3}
    assert expected_counts(fold)['ja'].images == (1000,)
    chinese = expected_counts({**fold, 'fold': None, 'languages': ('zh',), 'split': 'train'})
    assert chinese['zh'].images == (18_341,)
