"""tools/extract_roi_features.py in several processes, and killed: the store is that of one undisturbed process."""

import dataclasses
import json
import multiprocessing
import os
import runpy
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from rc3mm.datasets.roi import RoiStore
from tests.roi_extraction import REASONS, ROOT, Extract, bad_list, shards

_FORK = multiprocessing.get_context('forkserver')
_FORK.set_forkserver_preload(['mmdet.models', 'mmcv.ops', 'rc3mm.models.detectors', 'rc3mm.datasets.roi'])


def _become(arguments: list[str], variables: dict[str, str], log: str) -> None:
    """Turn this process into the script; it is killed before the file KILL_BEFORE is renamed into place."""
    rename, fatal = os.replace, variables.pop('KILL_BEFORE', '')

    def replace(source: str, target: str) -> None:
        if os.path.basename(target) == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        rename(source, target)

    os.replace = replace  # type: ignore[assignment]
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    torch.set_num_threads(1)
    os.environ.update(variables)
    script = str(ROOT / 'tools' / 'extract_roi_features.py')
    sys.argv = [script, *arguments]
    sys.path.insert(0, os.path.dirname(script))
    runpy.run_path(script, run_name='__main__')


def start(log: Path, *arguments: object, **variables: object) -> Any:
    """A process that runs the tool."""
    words = [str(word) for word in arguments]
    texts = {name: str(value) for name, value in variables.items()}
    process = _FORK.Process(target=_become, args=(words, texts, str(log)))
    process.start()
    return process


def two_processes(folder: Path, *arguments: object) -> tuple[list[int | None], list[str]]:
    """Exit codes and outputs of two processes, started as SLURM would start them on one node."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        group = dict(SLURM_NTASKS=2, SLURM_JOB_NODELIST='node7', MASTER_PORT=free.getsockname()[1])
    logs = [folder / f'{rank}.log' for rank in range(2)]
    command = (*arguments, '--launcher', 'slurm', '--device', 'cpu')
    processes = [start(logs[k], *command, **group, SLURM_PROCID=k, SLURM_LOCALID=k) for k in range(2)]
    for process in processes:
        process.join(120)
    return [process.exitcode for process in processes], [log.read_text() for log in logs]


def test_two_processes_make_the_store_of_one(
    extract: Extract, noise_images: Path, detector_config: Path, tmp_path: Path
) -> None:
    one = extract.store(noise_images, out=tmp_path / 'one').path
    codes, logs = two_processes(tmp_path, detector_config, noise_images, '--out', tmp_path / 'two', '--shard-size', 3)
    assert codes == [0, 0], logs
    assert shards(tmp_path / 'two') == shards(one)
    assert 'by the first of 2 processes' in logs[0] and 'region features' not in logs[1]
    manifests = [json.loads((store / 'manifest.json').read_text()) for store in (one, tmp_path / 'two')]
    assert [manifest.pop('command') is not None for manifest in manifests] == [True, True]
    assert manifests[0] == manifests[1]


def test_two_processes_share_a_dataset(extract: Extract, detector_config: Path, tmp_path: Path) -> None:
    place = f'{ROOT}/configs/rc3/pretrain_tiny.py:train_dataloader.dataset.sources.strict'
    options = ('--dataset-config', place, '--limit', 7, '--shard-size', 2)
    one = extract.store(*options, out=tmp_path / 'one').path
    codes, logs = two_processes(tmp_path, detector_config, *options, '--out', tmp_path / 'two')
    assert codes == [0, 0], logs
    assert shards(tmp_path / 'two') == shards(one) and len(RoiStore(one)) == 7


def test_what_the_first_process_refuses_ends_both(noise_images: Path, detector_config: Path, tmp_path: Path) -> None:
    listed = tmp_path / 'list.txt'
    listed.write_text(''.join(f'same\t{path}\n' for path in sorted(noise_images.rglob('*.png'))[:2]))
    codes, logs = two_processes(tmp_path, detector_config, listed, '--out', tmp_path / 'two')
    assert codes == [2, 2], logs
    assert "error: two images have the id 'same'" in logs[0] and 'error' not in logs[1].lower()
    assert not any('Traceback' in log for log in logs)


@pytest.mark.parametrize('moment', ['00004.json', 'shard-00004.safetensors', 'index.safetensors', 'manifest.json'])
def test_a_killed_run_is_resumed(
    extract: Extract, spoilt: Path, detector_config: Path, tmp_path: Path, moment: str
) -> None:
    options = ('--shard-size', 1, '--max-bad', 4, '--batch-size', 1)
    code, output = extract(spoilt, '--out', tmp_path / 'whole', *options)
    assert code == 0, output
    store = tmp_path / 'killed'
    process = start(tmp_path / 'log', detector_config, spoilt, '--out', store, *options, KILL_BEFORE=moment)
    process.join(120)
    assert process.exitcode == -signal.SIGKILL, (tmp_path / 'log').read_text()
    assert not list(store.rglob(moment)) and list(store.rglob(f'.{moment}.*.tmp'))
    made = len(list(store.glob('shard-*')))
    assert made == (4 if '4' in moment else 10)
    with pytest.raises(FileNotFoundError, match=rf'not finished: {made} of 10 shards'):
        RoiStore(store)
    code, output = extract(spoilt, '--out', store, *options)
    assert code == 0 and f'{made} of 10 shards are there already' in output
    assert shards(store) == shards(tmp_path / 'whole')
    assert bad_list(store) == bad_list(tmp_path / 'whole') == REASONS
    resumed, whole = (RoiStore(path).manifest for path in (store, tmp_path / 'whole'))
    assert dataclasses.replace(resumed, command='') == dataclasses.replace(whole, command='')
    assert not list(store.rglob('.*.tmp'))
