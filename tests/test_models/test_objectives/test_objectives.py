"""What each objective learns, and what it must not touch."""

from typing import Any

import pytest
import torch

from rc3mm.models import RC3
from rc3mm.models.objectives import Objective

# Which parts an objective trains, by source. The patch encoder, ROI encoder and text encoder are reached by every
# objective that uses them; everything not listed must stay without gradient.
ENCODERS = {'patch_encoder', 'roi_encoder', 'text_encoder'}
REACHED = {
    ('itc', 'strict'): ENCODERS | {'image_projection', 'text_projection', 'tau_towers'},
    ('itc', 'weak'): ENCODERS | {'image_projection', 'text_projection', 'tau_towers'},
    ('itm', 'strict'): ENCODERS | {'fusion', 'objectives.itm'},
    ('mlm', 'weak'): ENCODERS | {'fusion', 'lm_head'},
    ('mrm', 'strict'): {'roi_encoder', 'text_encoder', 'fusion', 'objectives.mrm'},
    ('vtlm', 'strict'): ENCODERS | {'fusion', 'lm_head'},
    ('tlm', 'parallel'): {'text_encoder', 'lm_head'},
    ('xlco', 'parallel'): {'text_encoder', 'text_projection', 'tau_towers', 'objectives.xlco'},
    ('xvtcl', 'strict'): ENCODERS | {'fusion', 'fused_projection', 'tau_fused'},
    ('rxvtcl', 'weak'): ENCODERS | {'fusion', 'fused_projection', 'tau_fused'},
    ('rxvtcl', 'strict'): set(),
}


def losses(model: RC3, data: dict[str, Any]) -> dict[str, torch.Tensor]:
    return model(**model.data_preprocessor(data, True), mode='loss')


@pytest.mark.parametrize(('name', 'source'), REACHED, ids=lambda value: str(value))
def test_gradients_reach_what_they_should_and_nothing_else(rc3: Any, batch: Any, name: str, source: str) -> None:
    # `both` lets every token type take part; a strict batch first, so that the band of R-XVtCL has its means
    model = rc3([name], form_probs=dict(both=1.0))
    if name == 'rxvtcl':
        losses(model, batch('strict', 8, seed=1))
    out = losses(model, batch(source, 8))
    reached = REACHED[name, source]
    if not reached:
        assert not [key for key in out if key.startswith('loss_')]
        return
    out[f'loss_{name}'].backward()
    for parameter_name, parameter in model.named_parameters():
        part = '.'.join(parameter_name.split('.')[: 2 if parameter_name.startswith('objectives') else 1])
        touched = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
        if part not in reached:
            assert not touched, f'{name} must not train {parameter_name}'
        elif not _cannot_learn(parameter_name, name):
            assert touched, f'{name} should train {parameter_name}'


def _cannot_learn(parameter: str, objective: str) -> bool:
    """Parameters without influence by construction."""
    # a bias on the keys shifts all scores of a softmax alike
    if parameter.endswith('attention.self.key.bias'):
        return True
    # every text has the same single segment; RoBERTa's padding embedding and unused positions are rows, not tensors
    return objective == 'tlm' and parameter.startswith('fusion')


def test_weights_scale_the_loss(rc3: Any, batch: Any) -> None:
    data = batch('strict')
    plain = losses(rc3(dict(itc=dict(type='ITC'))), data)['loss_itc'].detach()
    half = losses(rc3(dict(itc=dict(type='ITC', loss_weight=0.5))), batch('strict'))['loss_itc'].detach()
    assert torch.allclose(half, plain / 2)


def test_an_objective_runs_on_its_sources_only(rc3: Any, batch: Any) -> None:
    model = rc3()
    names = {
        source: {key for key in losses(model, batch(source)) if key.startswith('loss_')}
        for source in ('strict', 'weak', 'parallel')
    }
    assert names == {
        'strict': {'loss_itc', 'loss_itm', 'loss_mlm', 'loss_mrm', 'loss_vtlm', 'loss_xvtcl'},
        'weak': {'loss_itc', 'loss_itm', 'loss_mlm', 'loss_mrm', 'loss_rxvtcl'},
        'parallel': {'loss_tlm', 'loss_xlco'},
    }


def test_running_means_follow_strict_batches_only(rc3: Any, batch: Any) -> None:
    model = rc3(['rxvtcl'])
    means = model.objectives['rxvtcl'].means
    losses(model, batch('weak'))
    assert int(means.updates) == 0
    losses(model, batch('strict'))
    assert int(means.updates) == 1 and float(means.s_pos) != 1.0
    model.eval()
    losses(model, batch('strict', seed=3))
    assert int(means.updates) == 1


def test_true_relevance_has_no_way_into_the_loss(rc3: Any, batch: Any) -> None:
    data, changed = batch('weak'), batch('weak')
    for sample in changed['data_samples']:
        sample.set_metainfo(dict(true_relevance=1.0 - sample.true_relevance))
    assert 'true_relevance' not in data['inputs']
    first, second = losses(rc3(['rxvtcl']), data), losses(rc3(['rxvtcl']), changed)
    assert torch.equal(first['loss_rxvtcl'], second['loss_rxvtcl'])


def test_identical_views_show_the_shortcut_as_one_half(rc3: Any, batch: Any) -> None:
    model = rc3(['xvtcl'])
    with torch.no_grad():
        model.fused_projection.weight.zero_()  # z ignores everything
    assert float(losses(model, batch('strict'))['xvtcl_shortcut_acc']) == 0.5


def test_learning_a_batch_by_heart(rc3: Any, batch: Any) -> None:
    """All objectives together bring their losses down on a batch that repeats."""
    model, data = rc3(), batch('strict', 8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    history = []
    for _ in range(40):
        out = losses(model, {'inputs': dict(data['inputs']), 'data_samples': data['data_samples']})
        total = torch.stack([value for key, value in out.items() if key.startswith('loss_')]).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append({key: float(value.detach()) for key, value in out.items() if key.startswith('loss_')})
    for key in ('loss_itc', 'loss_xvtcl', 'loss_vtlm'):
        assert history[-1][key] < 0.6 * history[0][key], (key, history[0][key], history[-1][key])


@pytest.mark.parametrize('arguments', [dict(sources=()), dict(sources='strict'), dict(sources=['a'], loss_weight=-1)])
def test_bad_arguments_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r'sources|loss_weight'):
        Objective(**arguments)


def test_translations_are_told_from_other_texts_in_both_directions(rc3: Any, batch: Any) -> None:
    model, data = rc3(['xlco']), batch('parallel', 6)
    inputs = model.data_preprocessor(data, False)['inputs']
    states = model.text_encoder(inputs['text_ids'], inputs['text_mask'])
    own, terms, out = torch.arange(6), [], losses(model, batch('parallel', 6))
    first = torch.nn.functional.normalize(states[:, 0], dim=-1)
    for name, texts, tau in (
        ('acc', model.embed_text(states, inputs['text_mask']), model.tau_towers()),
        ('first_acc', first, model.objectives.xlco.tau()),
    ):
        one, other = texts.view(6, 2, -1).unbind(1)
        logits = one @ other.T / tau
        terms += [torch.nn.functional.cross_entropy(rows, own) for rows in (logits, logits.T)]
        assert float(out[f'xlco_{name}']) == float((logits.argmax(1) == own).float().mean())
    assert torch.allclose(out['loss_xlco'], sum(terms) / 4, atol=1e-5)
    with pytest.raises(ValueError, match='two texts an item, source "weak" has'):
        data = batch('weak', 4)
        data['inputs']['text_ids'], data['inputs']['text_mask'] = (
            data['inputs'][key][::2] for key in ('text_ids', 'text_mask')
        )
        data['inputs'].pop('text_lengths')
        losses(rc3(dict(xlco=dict(type='XLCO', sources=('weak',)))), data)
