"""tools/extract_roi_features.py on a real, tiny detector: the same store however it was made, and bad images told."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from rc3mm.datasets.roi import RoiStore
from rc3mm.registry import MODELS
from tests.roi_extraction import CONFIG, REASONS, ROOT, SIZES, Extract, bad_list, pixels, shards

# ---------------------------------------------------------------------------------------- what is in the store


def test_regions_are_those_of_the_extractor(extract: Extract, noise_images: Path, tmp_path: Path) -> None:
    store = extract.store(noise_images, '--batch-size', 1, out=tmp_path / 's')
    assert list(store.ids()) == [f'{"a" if k < 12 else "b"}/{k:02d}' for k in range(20)]
    extractor = MODELS.build(Config.fromfile(extract.config).roi_extractor)
    for k, image_id in enumerate(store.ids()):
        (expected,) = extractor.extract([pixels(k)])
        own = store.get(image_id)
        assert own.image_size == SIZES[k % 3] and 2 <= len(own) <= 4
        for part in ('features', 'boxes', 'scores', 'class_probs'):
            np.testing.assert_array_equal(getattr(own, part), getattr(expected, part), err_msg=f'{image_id} {part}')
    assert not store.verify()


def test_batches_of_one_padded_size_change_nothing(extract: Extract, tmp_path: Path) -> None:
    folder = tmp_path / 'images'
    folder.mkdir()
    for k in range(9):  # the detector pads to multiples of 32: only every third of these is wider than the others
        Image.fromarray(pixels(k)).save(folder / f'{k}.png')
    alone = extract.store(folder, '--batch-size', 1, out=tmp_path / 'alone')
    together = extract.store(folder, '--batch-size', 2, '--shard-size', 9, out=tmp_path / 'together')
    assert list(together.ids()) == list(alone.ids())
    for image_id in alone.ids():
        one, other = alone.get(image_id), together.get(image_id)
        assert one.image_size == other.image_size == SIZES[int(image_id) % 3]
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-2, err_msg=image_id)
        np.testing.assert_allclose(one.features, other.features, atol=2e-3, err_msg=image_id)


def test_the_manifest_says_what_it_was_made_with(extract: Extract, noise_images: Path, tmp_path: Path) -> None:
    changed = ('--max-regions', 3, '--score-thr', 0.1, '--feature', 'pooled', '--dtype', 'float32', '--amp')
    store = extract.store(noise_images, *changed, '--no-class-probs', '--limit', 5, out=tmp_path / 's')
    manifest = store.manifest
    assert (manifest.detector, manifest.feature, manifest.feature_dim) == ('FasterRCNN', 'pooled', 16)
    assert (manifest.num_images, manifest.num_shards, manifest.shard_size) == (5, 2, 3)
    assert manifest.protocol.items() >= {'min_regions': 2, 'max_regions': 3, 'score_thr': 0.1}.items()
    assert (
        manifest.protocol['autocast'] == 'bfloat16'
        and manifest.num_attributes is None
        and len(manifest.protocol['detector_sha256']) == 64
    )
    assert len(manifest.checkpoint) == 64 and '--no-class-probs' in manifest.command and manifest.num_classes is None
    regions = store.get('a/00')
    assert regions.features.dtype == np.float32 and regions.class_probs is None and len(regions) <= 3


def test_every_way_in_gives_the_same_store(extract: Extract, noise_images: Path, tmp_path: Path) -> None:
    expected = shards(extract.store(noise_images, out=tmp_path / 'folder').path)
    files = sorted(noise_images.rglob('*.png'))
    ids = [str(path.relative_to(noise_images).with_suffix('')) for path in files]
    listed = tmp_path / 'list.txt'
    listed.write_text(''.join(f'{name}\t{path}\n' for name, path in zip(ids, files, strict=True)))
    table = pa.table({'jpg': [path.read_bytes() for path in files], 'key': ids})
    pq.write_table(table, tmp_path / 'x.parquet', row_group_size=7)
    assert shards(extract.store(listed, '--workers', 2, out=tmp_path / 'list').path) == expected
    columns = ('--image-column', 'jpg', '--id-column', 'key')
    assert shards(extract.store(f'{tmp_path}/*.parquet', *columns, out=tmp_path / 'parquet').path) == expected


def test_images_of_a_dataset(extract: Extract, tmp_path: Path) -> None:
    place = f'{ROOT}/configs/rc3/pretrain_tiny.py:train_dataloader.dataset.sources.strict'
    store = extract.store('--dataset-config', place, '--limit', 4, out=tmp_path / 's')
    assert [re.sub('[0-9a-f]+-(?=0)', '', name) for name in store.ids()] == [
        f'emoji-easy-train-{k:06d}' for k in range(4)
    ]
    assert store.get(list(store.ids())[2]).image_size == (48, 48)
    for wrong, said in {
        f'{ROOT}/configs/rc3/pretrain_tiny.py:train_dataloader.dataset': 'name one: .*sources.strict',
        f'{ROOT}/configs/rc3/pretrain_tiny.py:train_dataloader.datset': "there is no 'datset', only .*dataset",
        f'{ROOT}/configs/rc3/pretrain_tiny.py:train_dataloader': 'is no dataset',
        f'{ROOT}/configs/rc3/pretrain_tiny.py:train_dataloader.dataset.sources.parallel': 'has no images',
        'x.py:a': 'there is no config file x.py',
        'x.py': 'not of the form config.py:key.path',
    }.items():
        code, output = extract('--dataset-config', wrong, '--out', tmp_path / 't', '--limit', 2)
        assert code == 2 and output.startswith('error: ') and output.count('\n') == 1
        assert re.search(said, output), output


# ----------------------------------------------------------------------------------------------- bad images


def test_bad_images_are_listed_and_skipped(extract: Extract, spoilt: Path, tmp_path: Path) -> None:
    code, output = extract(spoilt, '--out', tmp_path / 's', '--shard-size', 3, '--max-bad', 0.4, '--workers', 1)
    assert code == 0, output
    assert bad_list(tmp_path / 's') == REASONS
    assert sorted(RoiStore(tmp_path / 's').ids()) == ['0', '1', '3', '6', '8', '9']
    assert '6 of 10' in output and '4 (' in output and '1 truncated image' in output


@pytest.mark.parametrize('limit', ['3', '0.39', '0'])
def test_too_many_bad_images_stop_the_run(extract: Extract, spoilt: Path, tmp_path: Path, limit: str) -> None:
    store = tmp_path / 's'
    code, output = extract(spoilt, '--out', store, '--shard-size', 3, '--max-bad', limit)
    assert code == 2 and 'of 10 images are bad (' in output and 'more than --max-bad allows' in output
    assert 'Traceback' not in output and bad_list(store).items() <= REASONS.items()
    assert not (store / 'manifest.json').exists()
    # with a higher limit the same command goes on, and knows what an earlier run has skipped
    code, output = extract(spoilt, '--out', store, '--shard-size', 3, '--max-bad', 4)
    assert code == 0 and bad_list(store) == REASONS


def test_a_finished_store_is_left_alone(extract: Extract, noise_images: Path, tmp_path: Path) -> None:
    store = extract.store(noise_images, out=tmp_path / 's').path
    before = {path: path.stat().st_mtime_ns for path in store.glob('shard-*')}
    code, output = extract(noise_images, '--out', store, '--shard-size', 3)
    assert code == 0 and 'nothing was left to do' in output and '7 of 7 shards are there already' in output
    assert {path: path.stat().st_mtime_ns for path in store.glob('shard-*')} == before
    whole = shards(store)
    (store / 'shard-00003.safetensors').unlink()  # what the message of a damaged shard advises
    assert shards(extract.store(noise_images, out=store).path) == whole


def test_a_store_is_never_mixed(extract: Extract, noise_images: Path, tmp_path: Path) -> None:
    store = extract.store(noise_images, out=tmp_path / 's').path
    for other in (['--max-regions', 3], ['--dtype', 'float32'], ['--limit', 5], ['--amp'], ['--feature', 'pooled']):
        code, output = extract(noise_images, '--out', store, '--shard-size', 3, *other)
        assert code == 2 and 'was begun with other settings' in output and 'Traceback' not in output


def test_images_without_any_region_are_counted_apart(extract: Extract, noise_images: Path, tmp_path: Path) -> None:
    arguments = (noise_images, '--min-regions', 0, '--score-thr', 1, '--out', tmp_path / 's')
    code, output = extract(*arguments)
    (row,) = [line for line in output.splitlines() if 'without any region' in line]
    assert code == 0 and row.split()[-1] == '20'
    assert re.search(r'skipped +0 ', output)
    assert len(RoiStore(tmp_path / 's').get('a/00')) == 0


def test_a_lost_report_is_told(extract: Extract, noise_images: Path, tmp_path: Path) -> None:
    store = extract.store(noise_images, out=tmp_path / 's').path
    (store / 'reports' / '00002.json').write_text('{')
    code, output = extract(noise_images, '--out', store, '--shard-size', 3)
    assert code == 2 and '00002.json cannot be read' in output and 'remove' in output


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['nowhere'], 'there is no folder, list or Parquet file nowhere'),
        ([], 'give either IMAGES or --dataset-config'),
        (['IMAGES', '--dataset-config', 'x.py:y'], 'give either IMAGES or --dataset-config'),
        (['IMAGES', '--max-bad', '1.5'], "'1.5' is neither a share such as 0.01 nor a number such as 20"),
        (['IMAGES', '--batch-size', '0'], '--batch-size must be at least 1'),
        (['IMAGES', '--device', 'tpu9'], '--device tpu9: '),
        (['IMAGES', '--checkpoint', 'nothing.pth'], 'no checkpoint at nothing.pth'),
        (['IMAGES', '--min-regions', '9'], 'min_regions <= max_regions'),
        (['IMAGES', '--attributes'], 'knows no attributes; leave it out'),
        (['IMAGES', '--launcher', 'slurm'], 'SLURM_PROCID is not set'),
        (['IMAGES', '--cfg-options', 'roi_extractor'], 'not of the form key=value'),
    ],
)
def test_what_cannot_be_done_is_said_in_words(
    extract: Extract, noise_images: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    filled = [str(noise_images) if word == 'IMAGES' else word for word in arguments]
    code, output = extract(*filled, '--out', tmp_path / 's')
    assert code == 2 and said in output and 'Traceback' not in output


def test_a_batch_that_does_not_fit_into_memory_is_told(extract: Extract, noise_images: Path, tmp_path: Path) -> None:
    """ROI features of 10^14 cells are refused by every allocator there is."""
    path = tmp_path / 'c.py'
    path.write_text(extract.config.read_text().replace('output_size=7', 'output_size=10_000_000'))
    code, output = extract(noise_images, '--out', tmp_path / 's', config=path)
    (line,) = [line for line in output.splitlines() if line.startswith('error: ')]
    assert code == 2 and 'not enough memory on cpu for --batch-size 8 (' in line and 'lower --batch-size' in line
    assert 'Traceback' not in output


def test_attributes_are_kept_on_request_alone(extract: Extract, noise_images: Path, tmp_path: Path) -> None:
    path, weights = tmp_path / 'c.py', tmp_path / 'weights.pth'
    head = "type='AttributeBBoxHead', num_attributes=3, with_avg_pool=True, in_channels=16,"
    text = extract.config.read_text().replace("type='Shared2FCBBoxHead', in_channels=16, fc_out_channels=32,", head)
    path.write_text(re.sub("checkpoint='.*?'", f"checkpoint='{weights}'", text))
    entry = Config.fromfile(path).roi_extractor
    torch.save({'state_dict': MODELS.build({**entry, 'checkpoint': None}).detector.state_dict()}, weights)
    for name, options in {'without': [], 'with': ['--attributes', '--no-class-probs']}.items():
        code, output = extract(noise_images, '--limit', 4, '--out', tmp_path / name, *options, config=path)
        assert code == 0, output
    without, whole = RoiStore(tmp_path / 'without'), RoiStore(tmp_path / 'with')
    assert (without.manifest.num_attributes, whole.manifest.num_attributes) == (None, 3)
    assert without.get('a/00').attribute_probs is None and without.get('a/00').class_probs is not None
    assert whole.get('a/00').attribute_probs.shape == (len(whole.get('a/00')), 3)
    assert whole.get('a/00').class_probs is None and not whole.verify() and not without.verify()


def test_configs_without_a_detector_are_told(extract: Extract, noise_images: Path, tmp_path: Path) -> None:
    path = tmp_path / 'c.py'
    path.write_text('x = 1\n')
    code, output = extract(noise_images, '--out', tmp_path / 's', config=path)
    assert code == 2 and 'has no roi_extractor = dict(type=RoiExtractor' in output
    path.write_text(CONFIG.replace("'{checkpoint}'", 'None'))
    code, output = extract(noise_images, '--out', tmp_path / 's', config=path)
    assert code == 2 and 'its features would be random: give --checkpoint' in output


def test_options_of_the_config_can_be_overridden(extract: Extract, noise_images: Path, tmp_path: Path) -> None:
    store = extract.store(noise_images, '--cfg-options', '+roi_extractor.max_regions=3', out=tmp_path / 's')
    assert store.manifest.protocol['max_regions'] == 3
