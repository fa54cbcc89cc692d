"""Every real annotation file at hand is read in full, and holds what was published."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rc3mm.datasets.benchmarks import (
    NLVR2,
    XGQA,
    XVNLI,
    BenchmarkDataset,
    Flickr30k,
    MaRVL,
    Multi30kRetrieval,
    Multi30kTranslation,
    WITRetrieval,
    XFlickrCO,
    audit_dataset,
)
from rc3mm.datasets.benchmarks.gqa import read_answer_labels
from rc3mm.datasets.benchmarks.reading import read_json_lines
from tests.test_datasets.test_benchmarks.making import IGLUE, MULTI30K, SHARED, needs_shared

pytestmark = needs_shared

# class, options, items, (texts, images) of each language, kinds of known and of unknown findings but for missing images
CASES: list[tuple[type[BenchmarkDataset], dict[str, Any], int, tuple[int, int], set[str], set[str]]] = [
    (XVNLI, {'languages': ['en']}, 1164, (1164, 357), {'unlabelled'}, set()),
    (XVNLI, {'languages': ['fr']}, 1164, (1164, 357), {'unlabelled'}, set()),
    (XVNLI, {'languages': ['fr'], 'split': 'train', 'shots': 5}, 18, (18, 5), {'unlabelled'}, set()),
    *[
        (XGQA, {'languages': [language], **part}, count, (count, images), set(), set())
        for language in ('de', 'en', 'zh')
        for part, count, images in (
            ({'split': 'dev'}, 1422, 50),
            ({'split': 'train', 'shots': 1}, 27, 1),
            ({'split': 'train', 'shots': 5}, 155, 5),
        )
    ],
    (MaRVL, {'languages': ['zh']}, 1012, (1012, 1012), set(), set()),
    (MaRVL, {'languages': ['zh'], 'split': 'train', 'shots': 10}, 40, (40, 40), set(), set()),
    (NLVR2, {'split': 'dev'}, 600, (600, 0), set(), {'counts'}),  # the first 600 lines
    *[(XFlickrCO, {'languages': [language]}, 2000, (2000, 2000), set(), set()) for language in ('en', 'ja', 'zh')],
    (XFlickrCO, {'languages': ['de']}, 2000, (2000, 2000), {'empty_texts'}, set()),
    (XFlickrCO, {'languages': ['de'], 'drop_empty': True}, 1999, (1999, 1999), {'counts'}, set()),
    (XFlickrCO, {'languages': ['de'], 'split': 'train', 'shots': 10}, 10, (10, 10), set(), set()),
    (Flickr30k, {}, 300, (1500, 300), set(), {'counts'}),  # the first 300 lines
    (WITRetrieval, {'languages': ['en']}, 685, (1000, 685), set(), set()),
    (WITRetrieval, {'languages': ['ja']}, 842, (1000, 842), set(), set()),
    *[
        (kind, {'split': split, 'languages': ['de', 'fr', 'cs'], **more}, items, (count, count), known, set())
        for split, count in (('val', 1014), ('test_2016_flickr', 1000))
        for kind, more, items, known in (
            (Multi30kTranslation, {}, 3 * count, set()),
            (Multi30kRetrieval, {'five_captions': False}, count, {'counts'}),
        )
    ],
]


def make(kind: type[BenchmarkDataset], **options: Any) -> BenchmarkDataset:
    root = MULTI30K if kind.__name__.startswith('Multi30k') else IGLUE
    return kind(ann_root=root, image_root='nowhere', **options)


@pytest.mark.parametrize(
    ('kind', 'options', 'items', 'sizes', 'known', 'unknown'),
    CASES,
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_real_file(
    kind: type[BenchmarkDataset],
    options: dict[str, Any],
    items: int,
    sizes: tuple[int, int],
    known: set[str],
    unknown: set[str],
) -> None:
    dataset = make(kind, **options)
    assert len(dataset) == dataset.metainfo['num_items'] == items
    result = audit_dataset(dataset)
    assert set(result.counts) == set(dataset.metainfo['languages'])
    for counts in result.counts.values():
        assert counts.texts == sizes[0]
        if dataset.source != 'nlvr2':
            assert len(counts.images) == sizes[1]
    found = [finding for finding in result.findings if finding.kind != 'missing_images']
    assert {finding.kind for finding in found if finding.known} == known
    assert {finding.kind for finding in found if not finding.known} == unknown
    (missing,) = (finding for finding in result.findings if finding.kind == 'missing_images')
    assert missing.text.startswith(f'{result.num_images:,} of {result.num_images:,} images missing: nowhere/')
    check_contract(dataset)


def check_contract(dataset: BenchmarkDataset) -> None:
    """Each sample has what loops, metrics and transforms of its task ask for."""
    about = dataset.metainfo
    assert {'dataset_name', 'source', 'split', 'languages', 'num_items'} <= set(about)
    ids = set()
    for index in range(len(dataset)):
        sample = dataset.get_sample(index)
        ids.add(sample['item_id'])
        assert type(sample['item_id']) is type(sample['image_id']) is str and sample['source'] == about['source']
        assert all(type(part) is str for pair in sample['texts'] for part in pair)
        if about['source'] == 'nlvr2':
            assert sample['image_id'] == '+'.join(image['image_id'] for image in sample['images'])
            assert [set(image) for image in sample['images']] == [{'image_id', 'image_path'}] * 2 and sample['group']
        else:
            assert sample['image_path'].startswith('nowhere/')
        if about['source'] in ('nlvr2', 'gqa', 'xvnli'):
            (text,) = sample['texts']
            assert text[0] in about['languages'] and -1 <= sample['label'] < len(about['answers'])
            assert sample['label'] < 0 or about['answers'][sample['label']] == sample['answer']
        if about['source'] == 'translation':
            assert sample['texts'][0][0] == 'en' and sample['target'][0] in about['languages']
        if about['source'] == 'retrieval':
            assert {language for language, _ in sample['texts']} <= set(about['languages'])
    assert len(ids) == len(dataset)


def test_no_real_file_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    read, opened = set(), Path.open

    def noting(path: Path, *args: Any, **more: Any) -> Any:
        read.add(path)
        return opened(path, *args, **more)

    monkeypatch.setattr(Path, 'open', noting)
    for kind, options, *_ in CASES:
        make(kind, **options)
    there = {path for path in SHARED.rglob('*') if path.is_file() and path.name != 'README.md'}
    assert {path.relative_to(SHARED) for path in there - read} == set()


def test_labels_of_real_items() -> None:
    answers = read_answer_labels(IGLUE / 'gqa/annotations')
    assert len(answers) == len(set(answers)) == 1842
    xgqa = make(XGQA, split='dev', languages=['de'])
    assert all(xgqa.get_sample(k)['label'] >= 0 for k in range(len(xgqa)))
    xvnli = make(XVNLI, languages=['fr'])
    counts = Counter(xvnli.get_sample(k)['label'] for k in range(len(xvnli)))
    assert counts == {2: 394, 1: 381, 0: 375, -1: 14}


def test_groups_of_real_items() -> None:
    marvl = make(MaRVL, languages=['zh'])
    groups = Counter(marvl.get_sample(k)['group'] for k in range(len(marvl)))
    assert len(groups) == 253 and set(groups.values()) == {4}
    nlvr2 = make(NLVR2, split='dev')
    sentences: dict[str, set[str]] = {}
    for index in range(len(nlvr2)):
        sample = nlvr2.get_sample(index)
        sentences.setdefault(sample['group'], set()).add(sample['texts'][0][1])
    assert len(sentences) == 174 and all(len(texts) == 1 for texts in sentences.values())


def test_images_of_wit_are_told_apart_by_id_not_by_index() -> None:
    lines = list(read_json_lines(IGLUE / 'wit/annotations/test_ja.jsonl'))
    assert len({entry.name('image_idx') for entry in lines}) == 835
    assert len({entry.name('wit_ix') for entry in lines}) == len({entry.text('image_url') for entry in lines}) == 842


def test_languages_of_xflickrco_share_their_images() -> None:
    dataset = make(XFlickrCO, languages=['de', 'en', 'ja', 'zh'])
    assert len(dataset) == 2000 and {len(dataset.get_texts(k)) for k in range(2000)} == {4}
    empty = [dataset.get_image_id(k) for k in range(2000) if ('de', '') in dataset.get_texts(k)]
    assert empty == ['122239']
    folders = Counter(Path(dataset.get_sample(k)['image_path']).parent.name for k in range(2000))
    assert folders == {'flickr30k-images': 1000, 'val2014': 1000}
