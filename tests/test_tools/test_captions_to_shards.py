"""captions_to_shards.py: retrieval sets, images checked, real annotation files where they are."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rc3mm.datasets.shards import ShardSet
from tests.test_datasets.test_corpora.corpus_files import SHARED, counts, jpeg, write
from tests.test_tools.converting import ADD, assert_killed_and_finished, report_of

TOOL = 'dataset_converters/captions_to_shards.py'
Warm = Callable[..., object]


def make_flickr(folder: Path, count: int = 40) -> list[str]:
    (folder / 'images').mkdir()
    for k in range(count):
        if k % 20 != 7:
            (folder / 'images' / f'{k}.jpg').write_bytes(jpeg(k))
    arguments = []
    for language in ('en', 'de'):
        lines = [
            json.dumps({'sentences': [f'{language} {k} {n}' for n in range(2)], 'id': k, 'img_path': f'{k}.jpg'})
            for k in range(count)
        ]
        lines[2] = '{' if language == 'de' else lines[2]
        arguments.append(f'{language}={write(folder / f"{language}.jsonl", lines)}')
    return arguments


def test_flickr30k_with_images_checked(warm: Warm, tmp_path: Path) -> None:
    files = make_flickr(tmp_path)
    out = tmp_path / 'out'
    done = warm(TOOL, 'flickr30k', out, '--captions', *files, '--image-root', tmp_path / 'images')
    assert done.code == 0, done.output
    shards = ShardSet(out)
    assert len(shards) == 38 and shards.manifest.kind == 'retrieval'
    assert shards.record(0).texts == (('en', 'en 0 0'), ('en', 'en 0 1'), ('de', 'de 0 0'), ('de', 'de 0 1'))
    assert counts(report_of(out)) == {'image file is missing': 2, 'not JSON': 1}
    assert len(ShardSet(out).record(2).texts) == 2


def test_killed_in_the_middle(warm: Warm, tmp_path: Path) -> None:
    files = make_flickr(tmp_path)

    def command(out: Path) -> list:
        return ['flickr30k', out, '--captions', *files, '--rows-per-shard', 16, '--rows-per-group', 8]

    assert_killed_and_finished(warm, TOOL, command, tmp_path, [(ADD, 20, True), (ADD, 16, True)])


def test_coco(warm: Warm, tmp_path: Path) -> None:
    entry = {'filepath': 'val2014', 'filename': 'COCO_val2014_000000000009.jpg', 'cocoid': 9}
    images = [
        {**entry, 'split': 'test', 'sentences': [{'raw': 'a dog'}]},
        {**entry, 'cocoid': 10, 'split': 'val', 'sentences': [{'raw': 'a cat'}]},
    ]
    karpathy = write(tmp_path / 'dataset_coco.json', [json.dumps({'images': images})])
    stair = write(tmp_path / 'stair.json', [json.dumps({'annotations': [{'image_id': 9, 'caption': '犬'}]})])
    captions = ['--captions', f'en={karpathy}', f'ja={stair}']
    done = warm(TOOL, 'coco', tmp_path / 'out', *captions, '--karpathy', karpathy, '--split', 'test')
    assert done.code == 0, done.output
    (record,) = ShardSet(tmp_path / 'out').iter_records()
    assert record.texts == (('en', 'a dog'), ('ja', '犬'))
    assert record.image_path == 'val2014/COCO_val2014_000000000009.jpg'
    for arguments, message in (
        (['--karpathy', karpathy], '--karpathy and --split belong together'),
        (['--karpathy', karpathy, '--split', 'train'], "no split 'train'; it has test, val"),
        (['--captions', f'en={karpathy}', f'en={stair}'], 'one file a language'),
        (['--image-root', tmp_path / 'nowhere'], 'nowhere is no folder'),
    ):
        done = warm(TOOL, 'coco', tmp_path / 'other', *captions, *arguments)
        assert done.code == 2 and message in done.output, done.output


@pytest.mark.skipif(not SHARED.is_dir(), reason='the annotation files of ../shared/data are not here')
def test_real_multi30k(warm: Warm, tmp_path: Path) -> None:
    done = warm(TOOL, 'multi30k', SHARED / 'multi30k', tmp_path / 'out', '--split', 'test_2016_flickr')
    assert done.code == 0, done.output
    shards = ShardSet(tmp_path / 'out')
    assert dict(shards.manifest.texts_by_language) == dict.fromkeys(('cs', 'de', 'en', 'fr'), 1000)
    assert 'nothing was left out' in done.output
    done = warm(TOOL, 'multi30k', SHARED / 'multi30k', tmp_path / 'other', '--split', 'test_2042')
    assert done.code == 2 and 'its folder has' in done.output
