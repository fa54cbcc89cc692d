"""Each view is computed once a step, only if somebody asks for it."""

from collections import Counter
from typing import Any

import pytest
import torch
from torch import nn

from rc3mm.models import RC3
from rc3mm.models.objectives import BatchContext
from rc3mm.models.objectives import negatives as drawing
from rc3mm.structures import VisualForm

SOURCES = ('strict', 'weak', 'parallel')


def count_calls(model: RC3, batch: dict[str, Any]) -> dict[str, list[tuple[int, ...]]]:
    """Shapes of the first argument of every call of an encoder during one loss computation."""
    calls: dict[str, list[tuple[int, ...]]] = {}

    def record(name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            calls.setdefault(name, []).append(tuple(args[0].shape))

        return hook

    handles = [
        getattr(model, name).register_forward_pre_hook(record(name), with_kwargs=True)
        for name in ('text_encoder', 'patch_encoder', 'roi_encoder', 'fusion')
    ]
    model(**model.data_preprocessor(batch, True), mode='loss')
    for handle in handles:
        handle.remove()
    return calls


def test_every_view_is_computed_once_a_step(rc3: Any, batch: Any) -> None:
    model = rc3(form_probs=dict(split=1.0))
    calls = count_calls(model, batch('strict', 8))
    assert len(calls['patch_encoder']) == 1
    # all regions once, and the places of the masked ones, whose features are not known
    assert len(calls['roi_encoder']) == 2 and calls['roi_encoder'][1][1] <= calls['roi_encoder'][0][1]
    # both texts, the masked text and the masked pair: one stacked call
    assert [shape[0] for shape in calls['text_encoder']] == [32]
    # masked text, pair, regions; wrong images; own and wrong texts: each set of (image, text) pairs once
    assert sorted(shape[:2] for shape in calls['fusion']) == [(8, 1), (8, 1), (8, 1), (8, 1), (8, 4)]


def test_nothing_is_computed_that_no_objective_asks_for(rc3: Any, batch: Any) -> None:
    calls = count_calls(rc3(['itc']), batch('weak'))
    assert Counter({name: len(shapes) for name, shapes in calls.items()}) == Counter(
        text_encoder=1, patch_encoder=1, roi_encoder=1
    )
    calls = count_calls(rc3(['tlm']), batch('parallel'))
    assert {name: len(shapes) for name, shapes in calls.items()} == {'text_encoder': 1}
    calls = count_calls(rc3(['itc'], form_probs=dict(roi=1.0), test_form='roi'), batch('weak'))
    assert 'patch_encoder' not in calls


def test_logits_are_made_at_masked_positions_only(rc3: Any, batch: Any) -> None:
    model, data = rc3(['vtlm']), batch('strict')
    seen, fused = [], []
    model.lm_head.dense.register_forward_hook(lambda module, args, out: seen.append(len(out)))
    model.fusion.layers[-1].mlp.register_forward_hook(lambda module, args, out: fused.append(len(out)))
    model(**model.data_preprocessor(data, True), mode='loss')
    assert seen == fused == [len(data['inputs']['masked_pair']['labels'])]


def context_of(model: RC3, data: dict[str, Any], **kwargs: Any) -> BatchContext:
    data = model.data_preprocessor(data, True)
    return BatchContext(model, data['inputs'], data['data_samples'], [VisualForm.BOTH] * 2, **kwargs)


def test_hard_negatives_are_never_the_own_item(rc3: Any, batch: Any) -> None:
    for seed in range(5):
        context = context_of(rc3(), batch('strict', 8, seed=seed))
        own = torch.arange(8)[:, None]
        for negatives in context.hard_negatives:
            assert negatives.shape == (8, 2)
            assert not (negatives == own).any()


def test_hard_negatives_skip_items_with_the_same_image(rc3: Any, batch: Any) -> None:
    data = batch('strict', 8)
    for sample in data['data_samples'][:7]:
        sample.set_metainfo(dict(image_id='the same'))
    wrong_text, wrong_image = context_of(rc3(), data).hard_negatives
    assert (wrong_text[:7] == 7).all() and (wrong_image[:7] == 7).all()


def test_hard_negatives_follow_the_similarity(rc3: Any, batch: Any) -> None:
    context = context_of(rc3(), batch('strict', 8))
    image = torch.eye(8, 16)[:, None].expand(8, 2, 16)
    # the text of item i looks like the image of item i + 1
    text = torch.eye(8, 16).roll(1, 0)[:, None].expand(8, 2, 16)
    context.__dict__.update(image_embeddings_BPE=image, text_embeddings_BPE=text)
    wrong_text, wrong_image = context.hard_negatives
    expected = torch.arange(8).roll(-1)[:, None].expand(8, 2)
    assert (wrong_text == expected).all()
    assert (wrong_image == torch.arange(8).roll(1)[:, None]).all()


def test_uniform_negatives_do_not_ask_the_towers(rc3: Any, batch: Any) -> None:
    data, chosen = batch('weak', 8), Counter()
    for seed in range(200):
        data['inputs']['step_seed'] = seed
        context = context_of(rc3(), data, uniform_negatives=True)
        text = torch.eye(8, 16).roll(1, 0)[:, None].expand(8, 2, 16)
        context.__dict__.update(
            image_embeddings_BPE=torch.eye(8, 16)[:, None].expand(8, 2, 16), text_embeddings_BPE=text
        )
        wrong_text, _ = context.hard_negatives
        assert not (wrong_text == torch.arange(8)[:, None]).any()
        chosen.update(((wrong_text - torch.arange(8)[:, None]) % 8).flatten().tolist())
    # each of the seven others a seventh of the time, the most similar one no more often
    assert set(chosen) == set(range(1, 8)) and max(chosen.values()) < 1.25 * min(chosen.values())


def test_negatives_are_uniform_on_the_sources_named(rc3: Any, batch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(drawing, '_sample', lambda s, a, n, c: seen.append(bool(s.any())) or torch.roll(c[:, :2], 1, 0))
    model = rc3(['itm'], uniform_negatives=['weak'])
    for source in ('weak', 'strict'):
        model(**model.data_preprocessor(batch(source), True), mode='loss')
    assert seen == [False, False, True, True]


def test_hard_negatives_stay_in_their_block(rc3: Any, batch: Any) -> None:
    context = context_of(rc3(), batch('strict', 8), negatives_within=4)
    for negatives in context.hard_negatives:
        assert (negatives // 4 == (torch.arange(8) // 4)[:, None]).all()


@pytest.mark.parametrize('block', [3, 1, 16])
def test_impossible_blocks_are_refused(rc3: Any, batch: Any, block: int) -> None:
    with pytest.raises(ValueError, match='divide the per-process batch'):
        _ = context_of(rc3(), batch('strict', 8), negatives_within=block).hard_negatives


def test_missing_inputs_are_named(rc3: Any, batch: Any) -> None:
    data = batch('strict')
    del data['inputs']['masked_pair']
    with pytest.raises(KeyError, match='MaskTokens'):
        rc3(['vtlm'])(**rc3().data_preprocessor(data), mode='loss')
    data = batch('weak')
    del data['inputs']['relevance']
    with pytest.raises(KeyError, match='ScoreRelevance'):
        rc3(['rxvtcl'])(**rc3().data_preprocessor(data), mode='loss')
    data = batch('weak')
    del data['inputs']['roi_features']
    with pytest.raises(KeyError, match='form_probs'):
        rc3(['itc'])(**rc3().data_preprocessor(data), mode='loss')


def test_shared_images_are_not_for_pre_training(rc3: Any, batch: Any) -> None:
    data = batch('strict', 4)
    data['inputs']['image_index'] = torch.arange(4)
    model = rc3()
    with pytest.raises(ValueError, match='leave out `share_images`'):
        model(**model.data_preprocessor(data, True), mode='loss')
