"""Results files are complete, strict JSON, and whole or absent."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from rc3mm.utils import results
from rc3mm.utils.results import collect_environment, git_revision, write_results

LABELS = {'setting': 'zero-shot', 'split': 'test', 'num_items': 500, 'config_text': 'lr = 1e-4\n', 'seed': 3}


def test_everything_is_there(tmp_path):
    path = tmp_path / 'new' / 'results.json'
    metrics = {'a': 1.5, 'b': torch.tensor(2.5), 'c': np.float32(0.5), 'd': np.int64(7), 'bad': float('nan')}
    write_results(path, metrics, **LABELS, timings={'eval': 1.25}, extra={'checkpoint': Path('x.pth'), '名': '雪'})
    text = path.read_text(encoding='utf-8')
    data = json.loads(text, parse_constant=lambda name: pytest.fail(f'{name} is not JSON'))
    assert data['metrics'] == {'a': 1.5, 'b': 2.5, 'c': 0.5, 'd': 7, 'bad': None}
    assert (data['setting'], data['split'], data['num_items'], data['seed']) == ('zero-shot', 'test', 500, 3)
    assert data['config'] == 'lr = 1e-4\n'
    assert data['timings'] == {'eval': 1.25}
    assert data['checkpoint'] == 'x.pth'
    assert '雪' in text
    assert set(data['git']) == {'revision', 'dirty'}
    assert data['environment']['versions']['torch'] == torch.__version__
    assert os.listdir(path.parent) == ['results.json']


@pytest.mark.parametrize('broken', ['replace', 'fsync'])
def test_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, broken):
    path = tmp_path / 'results.json'
    path.write_text('old')

    def fail(*_):
        raise OSError('disk full')

    monkeypatch.setattr(results.os, broken, fail)
    with pytest.raises(OSError, match='disk full'):
        write_results(path, {}, **LABELS)
    assert path.read_text() == 'old'
    assert os.listdir(tmp_path) == ['results.json']


def test_what_json_cannot_hold_raises_before_writing(tmp_path):
    with pytest.raises(TypeError):
        write_results(tmp_path / 'r.json', {'a': object()}, **LABELS)
    with pytest.raises(ValueError, match='seed'):
        write_results(tmp_path / 'r.json', {}, **LABELS, extra={'seed': 4})
    assert os.listdir(tmp_path) == []


def test_environment():
    environment = collect_environment()
    assert {'rc3mm', 'python', 'torch', 'mmengine', 'mmcv', 'mmdet', 'numpy'} <= environment['versions'].keys()
    assert environment['versions']['mmengine'][0].isdigit()
    assert environment['cpu'] and environment['cpu_count'] >= 1
    assert isinstance(environment['gpus'], list)
    assert os.uname().nodename not in json.dumps(environment).split()


def test_git_revision_of_a_checkout(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ('-c', 'user.name=n', '-c', 'user.email=e@example.org', '-c', 'commit.gpgsign=false')
        subprocess.run(['git', *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    module = tmp_path / 'results.py'
    module.write_text('a')
    monkeypatch.setattr(results, '__file__', str(module))
    git('init', '-q')
    # In a repository, but not of it: an installed copy in somebody else's checkout.
    assert git_revision() == {'revision': None, 'dirty': None}
    git('add', 'results.py')
    git('commit', '-q', '-m', 'first')
    first = git_revision()
    assert len(first['revision']) == 40
    assert first['dirty'] is False
    module.write_text('b')
    assert git_revision() == {'revision': first['revision'], 'dirty': True}


def test_no_git_at_all(monkeypatch):
    monkeypatch.setenv('PATH', '')
    assert git_revision() == {'revision': None, 'dirty': None}
