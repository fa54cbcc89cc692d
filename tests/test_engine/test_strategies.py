"""A model trained by two processes, whole on each or in shards, is that of one process; checkpoints go between them."""

import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from torch.distributed.tensor import DTensor
from yapf.yapflib import yapf_api

from rc3mm.engine import FSDP2, DataParallel
from rc3mm.engine.strategies.data_parallel import varies
from rc3mm.models.layers import by_length_groups, repeated_layers
from rc3mm.registry import HOOKS, RUNNERS
from rc3mm.utils.checkpoint import find_latest_checkpoint, read_checkpoint
from rc3mm.utils.dist import rank_and_world_size
from rc3mm.utils.shards import shards_folder
from tests.distributed import run_on_processes
from tests.test_models.conftest import emoji_batch, tiny_rc3

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs/rc3/pretrain_tiny.py'
BATCH, STEPS = 8, 4
STRATEGIES = {
    'data_parallel': dict(type='DataParallel'),
    'fsdp2': dict(type='FSDP2'),
    'fsdp2_in_copies': dict(type='FSDP2', shard_size=1, reshard_after_forward=False),
}
STRICT = {
    'train_dataloader.sampler.ratios': dict(strict=1, weak=0, parallel=0),
    **{f'model.objectives.{name}.probability': 1.0 for name in ('vtlm', 'mlm')},
}
STATIC = {  # every step uses the same parameters
    **STRICT,
    'model.objectives': dict(
        _delete_=True,
        itc=dict(type='ITC', sources=('strict',)),
        itm=dict(type='ITM', width=128, sources=('strict',)),
    ),
}


class Losses(Hook):
    """Keeps what a process's steps lost, and how much of the model it held."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.held = 0

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """See `Hook`."""
        self.losses.append(sum(float(value.detach()) for name, value in outputs.items() if name.startswith('loss_')))
        state = runner.model.state_dict().values()
        self.held = sum((t.to_local() if isinstance(t, DTensor) else t).numel() for t in state)


def config(folder: Path, strategy: dict, steps: int = STEPS) -> Config:
    """The tiny config, shrunk, without a detector; evaluated and stored every second step."""
    cfg = Config.fromfile(str(CONFIG))
    processes = rank_and_world_size()[1]
    cfg.work_dir, cfg.launcher = str(folder), 'pytorch' if processes > 1 else 'none'
    cfg.experiment_name = f'{folder.name}_{steps}_{processes}'
    cfg.strategy = strategy
    cfg.model.update(roi_extractor=None, negatives_within=BATCH // 2)
    cfg.model.form_probs = dict(patch=1.0)
    cfg.model.text_encoder.update(position_shift=0, length_groups=3)
    del cfg.model.objectives.mrm
    sources = ('strict', 'weak', 'parallel')
    sampler = cfg.train_dataloader.sampler
    sampler.update(batch_size=BATCH // processes, seed=3, length_pool=1)
    del sampler['run']
    sampler['ratios'] = dict.fromkeys(sources, 1)
    cfg.train_dataloader.dataset.sources = {name: cfg.train_dataloader.dataset.sources[name] for name in sources}
    for source in cfg.train_dataloader.dataset.sources.values():
        source.num_scenes = 40
    weak = cfg.train_dataloader.dataset.sources.weak
    weak.pipeline = [step for step in weak.pipeline if step['type'].__name__ != 'ScoreRelevance']
    weak.pipeline.insert(0, dict(type='KnownRelevance'))
    cfg.val_dataloader.dataset.update(num_scenes=5, languages=('en', 'de'))
    cfg.train_cfg.update(max_iters=steps, val_interval=2)
    cfg.param_scheduler = []
    best = dict(save_best='retrieval/de/t2i_R@1', rule='greater') if folder.name == 'fsdp2' else {}
    cfg.default_hooks.checkpoint.update(interval=2, max_keep_ckpts=2, **best)
    cfg.custom_hooks = [dict(type='Losses')]
    cfg.visualizer.vis_backends = []
    return cfg


def train(folder: Path, strategy: dict, resume: Path | None = None, **changes: Any) -> dict[str, Any]:
    """Train, in one process or as one of several: its losses, and how many numbers of the model it held."""
    HOOKS.module_dict.setdefault('Losses', Losses)
    os.environ['LOCAL_RANK'] = str(rank_and_world_size()[0])
    cfg = config(folder, strategy)
    cfg.merge_from_dict(changes)
    cfg.resume, cfg.load_from = resume is not None, resume and str(resume)
    runner = RUNNERS.build(cfg)
    runner.train()
    (hook,) = (hook for hook in runner.hooks if isinstance(hook, Losses))
    return {'losses': torch.tensor(hook.losses), 'held': hook.held}


def uneven() -> dict[str, Any]:
    """A step in which processes differ in lengths of texts, and one has an image without regions; by both strategies.

    Returns:
        Calls of the text encoder for six rows in three groups, and by strategy the gradients of the patch encoder.
    """
    first, calls = rank_and_world_size()[0] == 0, []
    rows = torch.ones(6, 6, dtype=torch.long)
    lengths = [4] * 6 if first else [1, 2, 3, 4, 5, 6]
    by_length_groups(lambda ids, mask: calls.append(len(ids)) or ids[..., None].float(), rows, rows > 0, lengths, 3)
    gradients = []
    for strategy in (None, FSDP2()):
        model: Any = tiny_rc3(['itc', 'mrm'], form_probs=dict(roi=1.0))
        batch = emoji_batch('strict', 4)
        if first:
            batch['inputs']['roi_mask'][0], batch['inputs']['roi_missing'] = False, [0]
        torch.manual_seed(1)  # training begins with `init_weights`
        if strategy:
            wrapped = strategy.wrap(model, lambda _: pytest.fail('not by MMEngine'))
        else:
            model.init_weights()
            wrapped = torch.nn.parallel.DistributedDataParallel(model, find_unused_parameters=True)
        losses = wrapped(**model.data_preprocessor(batch, True), mode='loss')
        sum(value for name, value in losses.items() if name.startswith('loss_')).backward()
        gradient = model.patch_encoder.projection.weight.grad
        gradients.append(gradient.full_tensor() if strategy else gradient)
    return {'calls': calls, 'gradients': gradients}


def trainings(folder: Path) -> dict[str, dict[str, Any]]:
    """All that two processes do, in one start of them."""
    yapf_api.FormatCode = lambda text, **_: (text, True)  # printing a config takes longer than these trainings
    recomputed = {f'model.{part}.gradient_checkpointing': True for part in ('text_encoder', 'patch_encoder', 'fusion')}
    changes = {'fsdp2_in_copies': {'train_cfg.max_iters': 2, **recomputed}}
    done = {name: train(folder / name, strategy, **changes.get(name, {})) for name, strategy in STRATEGIES.items()}
    done['uneven'] = uneven()
    sharded = STRATEGIES['fsdp2']
    done['resumed'] = train(folder / 'resumed', sharded, folder / 'fsdp2' / 'iter_2.pth')
    if not rank_and_world_size()[0]:  # what a kill leaves before the checkpoint's file is written
        (folder / 'from_one' / 'iter_9.shards').mkdir(parents=True)
    done['from_one'] = train(folder / 'from_one', sharded, folder / 'one' / 'iter_2.pth')
    static = dict(type='DataParallel', static_graph=True)
    done['static_graph'] = train(folder / 'static_graph', static, **STATIC)
    with pytest.raises(ValueError, match='does not divide the 2 processes'):
        FSDP2(shard_size=3).wrap(torch.nn.Linear(2, 2), lambda _: pytest.fail('not by MMEngine'))
    with pytest.raises(TypeError, match='none of rc3mm'):
        train(folder / 'refused', dict(type='FSDPStrategy'))
    hooks = {'custom_hooks': [dict(type='Losses'), dict(type='EMAHook')]}
    with pytest.raises(ValueError, match='EMAHook copies the whole model'):
        train(folder / 'refused', sharded, **hooks)
    done['bfloat16'] = train(
        folder / 'bfloat16',
        dict(sharded, param_dtype='bfloat16'),
        **{'optim_wrapper.type': 'BFloat16OptimWrapper', 'train_cfg.max_iters': 2},
    )
    return done


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('strategies')


@pytest.fixture(scope='module')
def one(folder: Path) -> dict[str, Any]:
    return train(folder / 'one', {})


@pytest.fixture(scope='module')
def two(folder: Path, one: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    (folder / 'results').mkdir()
    parts = run_on_processes(trainings, (folder,), folder / 'results')
    return {name: [part[name] for part in parts] for name in parts[0]}


def same(a: dict, b: dict, exact: bool = False) -> None:
    """Assert that two checkpoints hold the same weights and the same state of the optimiser."""
    assert a['state_dict'].keys() == b['state_dict'].keys()
    tolerance = dict(rtol=0, atol=0) if exact else dict(rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(dict(a['state_dict']), dict(b['state_dict']), **tolerance)
    assert a['optimizer']['param_groups'] == b['optimizer']['param_groups']
    torch.testing.assert_close(a['optimizer']['state'], b['optimizer']['state'], **tolerance)


@pytest.mark.parametrize('name', STRATEGIES)
def test_two_processes_train_as_one(folder: Path, name: str, one: Any, two: Any) -> None:
    losses = torch.stack([part['losses'] for part in two[name]]).mean(0)
    assert torch.allclose(losses, one['losses'][: len(losses)], rtol=1e-5)
    for file in ('iter_2.pth', 'iter_4.pth')[: len(losses) // 2]:
        same(read_checkpoint(folder / name / file), read_checkpoint(folder / 'one' / file))


def test_a_static_graph_changes_nothing(folder: Path, two: Any) -> None:
    one = train(folder / 'one_source', {}, **STATIC)
    losses = torch.stack([part['losses'] for part in two['static_graph']]).mean(0)
    assert torch.allclose(losses, one['losses'], rtol=1e-5)


def test_a_process_holds_its_share(one: Any, two: Any) -> None:
    whole = one['held']
    assert [part['held'] for part in two['data_parallel']] == [whole, whole]
    parts = [part['held'] for part in two['fsdp2']]
    assert max(parts) < 0.51 * whole and sum(parts) == pytest.approx(whole, rel=1e-3)


def test_processes_may_differ_in_what_they_have(two: Any) -> None:
    for part in two['uneven']:
        assert len(part['calls']) == 3 and sum(part['calls']) == 6
        whole, sharded = part['gradients']
        assert whole.abs().max() > 0
        torch.testing.assert_close(sharded, whole, rtol=1e-4, atol=1e-6)


def test_sharded_checkpoints_resume_exactly(folder: Path, two: Any) -> None:
    whole, resumed = (read_checkpoint(folder / name / 'iter_4.pth') for name in ('fsdp2', 'resumed'))
    same(resumed, whole, exact=True)
    assert torch.equal(two['resumed'][1]['losses'], two['fsdp2'][1]['losses'][2:])
    assert all(torch.equal(a['torch'], b['torch']) for a, b in zip(resumed['rng'], whole['rng'], strict=True))


def test_checkpoints_go_between_one_file_and_shards(folder: Path, one: Any, two: Any) -> None:
    from_shards = train(folder / 'from_shards', {}, folder / 'fsdp2' / 'iter_2.pth')
    assert torch.allclose(from_shards['losses'], one['losses'][2:], rtol=1e-5)
    losses = torch.stack([part['losses'] for part in two['from_one']]).mean(0)
    assert torch.allclose(losses, one['losses'][2:], rtol=1e-5)
    for name in ('from_shards', 'from_one'):
        same(read_checkpoint(folder / name / 'iter_4.pth'), read_checkpoint(folder / 'one' / 'iter_4.pth'))


def test_layers_may_be_sent_as_bfloat16(folder: Path, one: Any, two: Any) -> None:
    losses = torch.stack([part['losses'] for part in two['bfloat16']]).mean(0)
    assert torch.allclose(losses, one['losses'][:2], rtol=0.02)
    state = read_checkpoint(folder / 'bfloat16' / 'iter_2.pth')['state_dict']
    assert all(value.dtype is torch.float32 for value in state.values() if value.is_floating_point())


def test_shards_become_one_file(folder: Path, one: Any, two: Any, warm: Any, shrunk: Any, tmp_path: Path) -> None:
    path, out = folder / 'fsdp2' / 'iter_4.pth', tmp_path / 'one.pth'
    merge = 'model_converters/merge_shards.py'
    done = warm(merge, path, out)
    assert done.code == 0 and 'numbers of weights' in done.output, done.output
    merged, whole = torch.load(out, weights_only=True), read_checkpoint(path)
    assert merged.keys() == {'meta', 'state_dict'}
    torch.testing.assert_close(merged['state_dict'], whole['state_dict'], rtol=0, atol=0)
    shutil.copy(path, tmp_path / 'alone.pth')
    for command in ((merge, tmp_path / 'alone.pth', out), ('test.py', CONFIG, tmp_path / 'alone.pth')):
        done = warm(*command)
        assert done.code == 2 and 'the folder of its tensors' in done.output.splitlines()[-1]
    done = warm(merge, out, tmp_path / 'again.pth')
    assert done.code == 2 and 'one file already' in done.output
    assert warm(merge, path, tmp_path / 'all.pth', '--with-optimizer').code == 0
    same(torch.load(tmp_path / 'all.pth', weights_only=True), whole, exact=True)
    options = [option for option in shrunk(4) if option.startswith('test_')]
    done = warm(
        *('test.py', CONFIG, out, '--work-dir', tmp_path / 'test'),
        *('--form', 'patch', '--cfg-options', *options),
    )
    assert done.code == 0 and 'mean w/o en' in done.output, done.output[-3000:]


def test_shards_come_and_go_with_their_checkpoint(folder: Path, two: Any) -> None:
    kept = sorted(path.name for path in (folder / 'fsdp2').iterdir() if path.suffix in ('.pth', '.shards'))
    (best,) = (folder / 'fsdp2').glob('best_*.pth')
    names = [best.stem, 'iter_2', 'iter_4']
    assert kept == sorted(f'{name}{kind}' for name in names for kind in ('.pth', '.shards'))
    assert not (folder / 'from_one' / 'iter_9.shards').exists()
    assert find_latest_checkpoint(folder / 'fsdp2') == folder / 'fsdp2' / 'iter_4.pth'


def test_damaged_shards_are_refused(folder: Path, two: Any, tmp_path: Path) -> None:
    path = tmp_path / 'iter_4.pth'
    shutil.copy(folder / 'fsdp2' / path.name, path)
    with pytest.raises(FileNotFoundError, match='folder of its tensors'):
        read_checkpoint(path)
    shutil.copytree(shards_folder(folder / 'fsdp2' / path.name), shards_folder(path))
    first = min(shards_folder(path).iterdir())
    size = first.stat().st_size
    first.write_bytes(pickle.dumps(Exploit()).ljust(size, b'.'))
    with pytest.raises(ValueError, match='cannot be read'):
        read_checkpoint(path)
    first.unlink()
    with pytest.raises(ValueError, match='is not as it was written'):
        read_checkpoint(path)
    assert not Exploit.ran


class Exploit:
    """What a hostile pickle does when it is read."""

    ran: list[bool] = []

    def __reduce__(self) -> Any:
        return Exploit.ran.append, (True,)


def test_what_cannot_be_done_is_told() -> None:
    with pytest.raises(ValueError, match="not 'float16'"):
        FSDP2(param_dtype='float16')
    layer = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match='add --amp'):
        FSDP2(param_dtype='bfloat16').bind(layer, OptimWrapper(torch.optim.SGD(layer.parameters(), lr=0.1)))
    assert 'visual forms' in str(varies(tiny_rc3(form_probs=dict(roi=0.5, patch=0.5))))
    assert 'different sources' in str(varies(tiny_rc3(['itc', 'mlm', 'tlm'])))
    assert "drawn for each batch: ['mlm']" in str(varies(tiny_rc3({'mlm': dict(type='MLM', probability=0.5)})))
    assert varies(tiny_rc3(['itc'])) is None
    with pytest.raises(ValueError, match='static_graph holds only where all steps are alike'):
        DataParallel(static_graph=True).wrap(tiny_rc3(['itc', 'tlm']), lambda _: layer)


def test_layers_are_found_wherever_they_stand() -> None:
    model = tiny_rc3()
    found = [type(layer).__name__ for child in model.children() for layer in repeated_layers(child)]
    assert found == ['XLMRobertaLayer'] * 2 + ['FusionLayer'] * 2 + ['Block']


def by_deepspeed(folder: Path) -> dict[str, Any]:
    """Train strict pairs, of which every step uses the same parameters."""
    os.environ.update(RANK=str(rank_and_world_size()[0]), WORLD_SIZE='2', DS_ACCELERATOR='cpu')
    return train(folder / 'deepspeed', dict(type='DeepSpeed', stage=1), **STRICT)


def test_deepspeed_trains_as_one_process(tmp_path: Path) -> None:
    pytest.importorskip('deepspeed')
    one = train(tmp_path / 'one', {}, **STRICT)
    (tmp_path / 'results').mkdir()
    parts = run_on_processes(by_deepspeed, (tmp_path,), tmp_path / 'results')
    losses = torch.stack([part['losses'] for part in parts]).mean(0)
    assert torch.allclose(losses, one['losses'], rtol=1e-5)
    two = read_checkpoint(tmp_path / 'deepspeed' / 'iter_4.pth')
    assert 'optimizer' not in two
    expected = read_checkpoint(tmp_path / 'one' / 'iter_4.pth')['state_dict']
    torch.testing.assert_close(dict(two['state_dict']), dict(expected), rtol=1e-3, atol=1e-4)
