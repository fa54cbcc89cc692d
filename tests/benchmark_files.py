"""All published benchmarks, small: the tree that the configs of the tasks ask for, annotations and pictures."""

from collections.abc import Iterator, Sequence
from itertools import islice, product
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from tests.small_weights import make_jpeg, make_regions
from tests.test_datasets.test_benchmarks.making import (
    flickr_line,
    marvl_line,
    wit_line,
    write_json,
    write_labels,
    write_lines,
    xvnli_line,
)

# of letters alone, so that the small tokenizer tells them apart
ANSWERS = ('no', 'yes', *(f'answer {"".join(word)}' for word in islice(product(ascii_lowercase, repeat=3), 1840)))
GOLD = ('neutral', 'entailment', 'contradiction')
MULTI30K = ('train', 'val', 'test_2016_flickr', 'test_2017_flickr', 'test_2017_mscoco', 'test_2018_flickr')
NUM = 6  # images of each set


def make_benchmarks(root: Path) -> None:
    """The folders `iglue`, `multi30k`, `mscoco`, `images` and `regions`."""
    iglue, images = root / 'iglue', root / 'images'
    pictures = {f'flickr30k-images/{k}.jpg' for k in range(NUM)}
    for make in (make_xvnli, make_gqa, make_pairs, make_captions, make_wit):
        pictures |= set(make(iglue))
    pictures |= set(make_multi30k(root / 'multi30k')) | set(make_mscoco(root / 'mscoco'))
    for name in pictures:
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).write_bytes(make_jpeg(len(name) % 7))
    make_regions(root / 'regions/flickr30k', [str(k) for k in range(NUM)])


def make_xvnli(root: Path) -> Iterator[str]:
    """XVNLI in five languages, three hypotheses an image."""
    folder = root / 'XVNLI/annotations'
    lines = [xvnli_line(k, GOLD[k % 3]) for k in range(3 * NUM)]
    for stem in ('train', 'dev'):
        write_lines(folder / f'en/{stem}.jsonl', lines)
    for language in ('en', 'ar', 'es', 'fr', 'ru'):
        write_lines(folder / f'{language}/test.jsonl', [*lines[:-1], xvnli_line(3 * NUM - 1, '-')])
    for language in ('ar', 'es', 'fr', 'ru'):
        write_lines(root / f'XVNLI/annotations_machine-translate/{language}/test.jsonl', lines)
        for shots in (1, 5, 10, 20, 25, 48):
            write_lines(folder / f'{language}/train_{shots}.jsonl', lines[: 3 * min(shots, NUM)])
    return iter(())


def make_gqa(root: Path) -> Iterator[str]:
    """GQA in English, xGQA in eight languages."""
    write_labels(root, ANSWERS)
    rows = [
        {'img_id': f'n{k}', 'label': {ANSWERS[k]: 1.0}, 'question_id': str(k), 'sent': f'Is it {k}?'}
        for k in range(NUM)
    ]
    for stem in ('train', 'valid'):
        write_json(root / f'gqa/annotations/{stem}.json', rows)
    records = {str(k): {'question': f'Was {k}?', 'imageId': f'n{k}', 'answer': ANSWERS[k]} for k in range(NUM)}
    folder = root / 'xGQA'
    for language in ('en', 'bn', 'de', 'id', 'ko', 'pt', 'ru', 'zh'):
        for stem in ('dev', 'test', *(f'train_{shots}' for shots in (1, 5, 10, 20, 25, 48))):
            write_json(folder / f'annotations/few_shot/{language}/{stem}.json', records)
        write_json(folder / f'annotations_machine-translate/few_shot/{language}/test_gmt.json', records)
    return (f'gqa/images/n{k}.jpg' for k in range(NUM))


def make_pairs(root: Path) -> Iterator[str]:
    """NLVR2 in English, MaRVL in five languages."""
    for stem in ('train', 'dev', 'test'):
        split = 'test1' if stem == 'test' else stem
        more = {'directory': 7} if stem == 'train' else {}
        lines = [
            {'identifier': f'{split}-{k}-0-0', 'sentence': f'Two {k}.', 'label': str(k % 2 == 0), **more}
            for k in range(NUM)
        ]
        write_lines(root / f'nlvr2/annotations/{stem}.jsonl', lines)
        place = f'nlvr2/images/{split}/7' if more else f'nlvr2/images/{split}'
        yield from (f'{place}/{split}-{k}-0-img{n}.png' for k in range(NUM) for n in range(2))
    zero, few = root / 'marvl/zero_shot', root / 'marvl/few_shot/annotations'
    for code in ('id', 'sw', 'ta', 'tr', 'zh'):
        lines = [marvl_line(k, code) for k in range(NUM)]
        write_lines(zero / f'annotations/marvl-{code}.jsonl', lines)
        write_lines(zero / f'annotations_machine-translate/marvl-{code}_gmt.jsonl', lines)
        for shots in (1, 2, 4, 10, '10x2'):
            write_lines(few / f'marvl-{code}_train{shots}.jsonl', [marvl_line(k, code, '82/') for k in range(NUM)])
        for k in range(NUM + 1):
            yield f'marvl-images/{code}/images/82-铅笔/82-{k}.jpg'
            yield f'marvl_fewshot/{code}/all/82-{k}.jpg'


def make_captions(root: Path) -> Iterator[str]:
    """Flickr30k in English, xFlickr&CO in eight languages."""
    for stem in ('train', 'valid', 'test'):
        lines = [flickr_line(k, [f'caption {k} {n}' for n in range(5)]) for k in range(NUM)]
        write_lines(root / f'flickr30k/annotations/{stem}_ann.jsonl', lines)
    for code in ('en', 'de', 'es', 'id', 'ja', 'ru', 'tr', 'zh'):
        lines = [flickr_line(k, [f'{code} {k}'], coco=k % 2 == 1) for k in range(NUM)]
        folder = root / 'xFlickrCO'
        write_lines(folder / f'annotations/{code}/test.jsonl', lines)
        write_lines(folder / f'annotations_machine-translate/{code}/test_gmt.jsonl', lines)
        for shots in (1, 5, 10, 25, 50, 100):
            write_lines(folder / f'annotations/{code}/train_{shots}.jsonl', lines[:shots])
    return (f'val2014/COCO_val2014_{k:012d}.jpg' for k in range(1, NUM, 2))


def make_wit(root: Path) -> Iterator[str]:
    """WIT in eleven languages, the last image with two captions."""
    numbers = [*range(NUM), NUM - 1]
    for code in ('en', 'ar', 'bg', 'da', 'el', 'et', 'id', 'ja', 'ko', 'tr', 'vi'):
        lines = [wit_line(k, f'{code} {row}', code) for row, k in enumerate(numbers)]
        for stem in ('train', 'val', 'test') if code == 'en' else ('test',):
            write_lines(root / f'wit/annotations/{stem}_{code}.jsonl', lines)
        write_lines(root / f'wit/annotations_machine-translate/test_{code}_gmt.jsonl', lines)
    return (f'wit/wit-test_{k}.jpg' for k in range(NUM))


def make_multi30k(root: Path) -> Iterator[str]:
    """Both tasks of Multi30K."""
    for split in MULTI30K:
        pattern = 'COCO_train2014_{:012d}.jpg' if split.endswith('mscoco') else '{}.jpg'
        names = [pattern.format(k) for k in range(NUM)]
        write_lines(root / f'data/task1/image_splits/{split}.txt', names)
        languages = ('en', 'de', 'fr') if '2017' in split else ('en', 'de', 'fr', 'cs')
        for code in languages:
            write_lines(root / f'data/task1/raw/{split}.{code}.gz', _texts(code))
        stem = split.removesuffix('_flickr')
        if stem in ('train', 'val', 'test_2016'):
            write_lines(root / f'data/task2/image_splits/{stem}_images.txt', names)
            for code in ('en', 'de'):
                for n in range(1, 6):
                    write_lines(root / f'data/task2/raw/{stem}.{n}.{code}.gz', _texts(f'{code} {n}'))
        folder = {'test_2017_flickr': 'test_2017-flickr-images', 'test_2018_flickr': 'test_2018-flickr-images'}
        place = 'train2014' if split.endswith('mscoco') else folder.get(split, 'flickr30k-images')
        yield from (f'{place}/{name}' for name in names)


def make_mscoco(root: Path) -> Iterator[str]:
    """Karpathy's file, STAIR and COCO-CN on the same images."""
    splits = [split for split in ('train', 'val', 'test') for _ in range(NUM)]
    splits[0] = 'restval'
    names = [f'COCO_val2014_{k:012d}' for k in range(1, len(splits) + 1)]
    karpathy: list[dict[str, Any]] = [
        {
            'cocoid': k,
            'filepath': 'val2014',
            'filename': f'{name}.jpg',
            'split': split,
            'sentences': [{'raw': f'{k} {n}'} for n in range(5)],
        }
        for k, (name, split) in enumerate(zip(names, splits, strict=True), start=1)
    ]
    write_json(root / 'dataset_coco.json', {'images': karpathy})
    stair = [{'id': k, 'image_id': k, 'caption': f'説明{k}', 'tokenized_caption': ''} for k in range(1, len(names) + 1)]
    for part, entries in (('train', stair[:NUM]), ('val', stair[NUM:])):
        write_json(root / f'stair_captions_v1.2_{part}.json', {'images': [], 'annotations': entries})
    chinese = root / 'coco-cn-version1805v1.1'
    for place, stem in enumerate(('train', 'val', 'test')):
        write_lines(chinese / f'coco-cn_{stem}.txt', names[place * NUM : (place + 1) * NUM])
    write_lines(chinese / 'imageid.human-written-caption.txt', [f'{name}#0\t说明' for name in names])
    (root.parent / 'images/train2014').mkdir(parents=True, exist_ok=True)
    return (f'val2014/{name}.jpg' for name in names)


def _texts(prefix: str) -> Sequence[str]:
    return [f'{prefix} text {k}' for k in range(NUM)]
