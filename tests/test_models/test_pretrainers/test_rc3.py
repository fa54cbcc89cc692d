"""The pre-trainer's contracts."""

from typing import Any

import pytest
import torch

from rc3mm.models.backbones import NonFiniteLossError
from rc3mm.structures import VisualForm


def run(model: Any, data: dict[str, Any], mode: str = 'loss') -> Any:
    return model(**model.data_preprocessor(data, True), mode=mode)


def test_forms_give_different_views_of_the_same_checkpoint(rc3: Any, batch: Any) -> None:
    model = rc3()
    model.eval()
    data = model.data_preprocessor(batch('strict'))
    visual = model.encode_visual(data['inputs'], list(VisualForm))
    embeddings = {form: model.embed_image(visual, form) for form in VisualForm}
    for form, embedding in embeddings.items():
        assert torch.allclose(embedding.norm(dim=1), torch.ones(8), atol=1e-5)
        # encoding only what a form needs gives the same tokens
        alone = model.embed_image(model.encode_visual(data['inputs'], [form]), form)
        assert torch.allclose(alone, embedding, atol=1e-5)
    assert not torch.allclose(embeddings[VisualForm.ROI], embeddings[VisualForm.PATCH], atol=1e-2)


def test_padding_changes_nothing(rc3: Any, batch: Any) -> None:
    """Regions and tokens beyond an item's own are invisible."""
    model = rc3()
    model.eval()
    data = model.data_preprocessor(batch('strict'))
    inputs = data['inputs']
    padded = dict(inputs)
    for key, value in (('roi_features', 9.0), ('roi_boxes', 0.5)):
        rest = torch.full((8, 3, inputs[key].shape[2]), value)
        padded[key] = torch.cat([inputs[key], rest], 1)
    padded['roi_mask'] = torch.cat([inputs['roi_mask'], torch.zeros(8, 3, dtype=torch.bool)], 1)
    padded['text_ids'] = torch.cat([inputs['text_ids'], torch.ones(16, 4, dtype=torch.long)], 1)
    padded['text_mask'] = torch.cat([inputs['text_mask'], torch.zeros(16, 4, dtype=torch.bool)], 1)
    outputs = []
    for batch_inputs in (inputs, padded):
        visual = model.encode_visual(batch_inputs, [VisualForm.BOTH])
        states = model.text_encoder(batch_inputs['text_ids'], batch_inputs['text_mask'])
        owner = torch.arange(16) // 2
        fused = model.fuse_pairs(states, batch_inputs['text_mask'], visual, owner, VisualForm.BOTH)
        outputs.append(
            (
                model.embed_image(visual, VisualForm.BOTH),
                model.embed_text(states, batch_inputs['text_mask']),
                fused,
            )
        )
    for plain, with_padding in zip(*outputs, strict=True):
        assert torch.allclose(plain, with_padding, atol=1e-5)


def test_grouped_and_paired_fusion_agree(rc3: Any, batch: Any) -> None:
    """All texts of an image in one call (shared keys and values) equal one call a pair; pooled equals full."""
    model = rc3()
    model.eval()
    inputs = model.data_preprocessor(batch('strict'))['inputs']
    visual = model.encode_visual(inputs, [VisualForm.BOTH])
    states = model.text_encoder(inputs['text_ids'], inputs['text_mask'])
    mask = inputs['text_mask'].view(8, 2, -1)
    seen = visual.mask_BV[:, None].expand(-1, 2, -1)
    grouped = model.fusion(states.view(8, 2, states.shape[1], -1), mask, visual.tokens_BVD, seen)
    pooled = model.fusion(states.view(8, 2, states.shape[1], -1), mask, visual.tokens_BVD, seen, pooled=True)
    paired = model.fuse_pairs(states, inputs['text_mask'], visual, torch.arange(16) // 2, VisualForm.BOTH)
    assert torch.allclose(grouped[:, :, 0], pooled, atol=1e-5)
    assert torch.allclose(pooled.flatten(0, 1), paired, atol=1e-5)


@pytest.mark.parametrize('source', ['strict', 'weak', 'parallel'])
def test_texts_in_groups_of_like_lengths_give_the_same_losses(rc3: Any, batch: Any, source: str) -> None:
    found = []
    for groups in (1, 3):
        model = rc3()
        model.text_encoder.length_groups = groups
        widths: list[int] = []
        model.text_encoder.model.register_forward_pre_hook(
            lambda module, args, kwargs, widths=widths: widths.append(kwargs['attention_mask'].shape[1]),
            with_kwargs=True,
        )
        losses = model(**model.data_preprocessor(batch(source, 8), True), mode='loss')
        sum(value for name, value in losses.items() if name.startswith('loss')).backward()
        gradient = model.text_encoder.word_embeddings.grad.clone()
        found.append(({name: float(value.detach()) for name, value in losses.items()}, gradient, len(set(widths))))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-4, abs=1e-5)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-3, atol=1e-5)
    assert found[1][2] > found[0][2], 'nothing was grouped'


def test_predict_fills_the_samples(rc3: Any, batch: Any) -> None:
    model = rc3()
    model.eval()
    samples = run(model, batch('strict'), 'predict')
    assert all(sample.image_embedding.shape == (16,) and sample.text_embeddings.shape == (2, 16) for sample in samples)
    tensors = run(model, batch('strict'), 'tensor')
    assert torch.equal(torch.stack([sample.image_embedding for sample in samples]), tensors['image_embeddings'])


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_a_loss_that_is_not_finite_stops_the_run(rc3: Any, batch: Any, bad: float) -> None:
    model, data = rc3(['itc', 'vtlm']), batch('strict')
    with torch.no_grad():
        model.lm_head.bias.fill_(bad)
    with pytest.raises(NonFiniteLossError) as error:
        run(model, data)
    message = str(error.value)
    assert 'loss_vtlm' in message and 'loss_itc' not in message
    assert 'iteration 0' in message and 'strict' in message
    assert all(sample.image_id in message for sample in data['data_samples'])


def test_views_are_drawn_by_the_step_seed_alone(rc3: Any, batch: Any) -> None:
    model = rc3(form_probs=dict(roi=1, patch=1, both=1, split=1))
    inputs = batch('strict')['inputs']
    drawn = []
    for seed in range(60):
        inputs['step_seed'] = seed
        drawn.append(tuple(model.form_sampler.sample(inputs, 2)))
        assert drawn[-1] == tuple(model.form_sampler.sample(inputs, 2))
    form = VisualForm
    expected = {
        (form.ROI, form.ROI),
        (form.PATCH, form.PATCH),
        (form.BOTH, form.BOTH),
        (form.ROI, form.PATCH),
        (form.PATCH, form.ROI),
    }
    assert set(drawn) == expected


def test_a_batch_without_regions_uses_the_forms_it_can(rc3: Any, batch: Any) -> None:
    model = rc3(form_probs=dict(roi=1, patch=1, split=1))
    inputs = batch('strict')['inputs']
    del inputs['roi_features']
    for seed in range(20):
        inputs['step_seed'] = seed
        assert model.form_sampler.sample(inputs, 2) == [VisualForm.PATCH] * 2


def test_an_image_without_regions_is_shown_as_patches(rc3: Any, batch: Any) -> None:
    model = rc3(form_probs=dict(roi=1.0), test_form='roi')
    model.eval()
    inputs = model.data_preprocessor(batch('strict'))['inputs']
    whole = {form: model.embed_image(model.encode_visual(inputs, [form]), form) for form in VisualForm}
    seen = []
    model.patch_encoder.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    inputs['roi_mask'][[2, 5]] = False
    inputs['roi_missing'] = [2, 5]
    has = torch.tensor([row not in (2, 5) for row in range(8)])
    for form in VisualForm:
        mixed = model.embed_image(model.encode_visual(inputs, [form]), form)
        assert torch.allclose(mixed[has], whole[form][has], atol=1e-5)
        assert torch.allclose(mixed[~has], whole[VisualForm.PATCH][~has], atol=1e-5)
    assert seen == [2, 8, 8]  # the form `roi` encodes the two images that need it, and no more

    # the same where only those two images were decoded
    few = {**inputs, 'image': inputs['image'][[2, 5]], 'image_rows': torch.tensor([2, 5])}
    mixed = model.embed_image(model.encode_visual(few, [VisualForm.ROI]), VisualForm.ROI)
    assert torch.allclose(mixed[~has], whole[VisualForm.PATCH][~has], atol=1e-5)
    few = {**inputs, 'image': inputs['image'][[2]], 'image_rows': torch.tensor([2])}
    with pytest.raises(KeyError, match='neither regions nor an image'):
        model.encode_visual(few, [VisualForm.ROI])


def test_kept_images_are_fused_as_they_were_encoded(rc3: Any, batch: Any) -> None:
    """What re-ranking keeps of an image does not depend on the images that it is looked at with."""
    from rc3mm.engine.retrieval_index import LocalImages

    model = rc3(form_probs=dict(roi=1.0), test_form='roi')
    model.eval()
    inputs = model.data_preprocessor(batch('strict'))['inputs']
    inputs['roi_mask'][2], inputs['roi_missing'] = False, [2]
    states, mask = model.text_encoder(inputs['text_ids'], inputs['text_mask'])[:8], inputs['text_mask'][:8]
    for form in VisualForm:
        visual = model.encode_visual(inputs, [form])
        local, few = LocalImages(), LocalImages()
        for row in range(8):
            local.add(row, visual.tokens_BVD[row][visual.visible_BV(form)[row]])
        few.add(2, local.tokens_VD[2])
        direct = model.fuse_pairs(states, mask, visual, torch.arange(8), form)
        kept = model.fuse_pairs(states, mask, local.select(range(8), states.dtype), torch.arange(8), VisualForm.BOTH)
        alone = model.fuse_pairs(
            states[2:3], mask[2:3], few.select([0], states.dtype), torch.zeros(1).long(), form.BOTH
        )
        assert torch.allclose(direct, kept, atol=1e-5) and torch.allclose(direct[2:3], alone, atol=1e-5)


def test_missing_regions_are_counted_and_need_a_patch_encoder(rc3: Any, batch: Any) -> None:
    model = rc3(['itc'], patch_encoder=None, form_probs=dict(roi=1.0), test_form='roi')
    inputs = model.data_preprocessor(batch('strict'))['inputs']
    model.encode_visual(inputs, [VisualForm.ROI])
    assert model.region_counts == {'images': 8, 'missing': 0}
    inputs['roi_missing'] = [3]
    with pytest.raises(KeyError, match='1 of 8 images of a batch have no regions, and this model has no patch'):
        model.encode_visual(inputs, [VisualForm.ROI])
    assert model.region_counts == {'images': 16, 'missing': 1}
    with pytest.raises(KeyError, match='holds regions alone'):
        rc3().encode_visual({**inputs, 'roi_only': True}, [VisualForm.BOTH])


def test_objectives_that_are_all_silent_are_an_error(rc3: Any, batch: Any) -> None:
    model = rc3(['mrm'], form_probs=dict(patch=1.0), test_form='patch')
    with pytest.raises(ValueError, match=r'no objective has a loss for source \"strict\".*patch'):
        run(model, batch('strict'))


def test_a_batch_without_any_region_trains_as_patches(rc3: Any, batch: Any) -> None:
    model = rc3(form_probs=dict(roi=1.0), test_form='roi')
    data = batch('strict')
    inputs = data['inputs']
    inputs.update(
        roi_features=torch.zeros(8, 0, 192),
        roi_boxes=torch.zeros(8, 0, 4),
        roi_mask=torch.zeros(8, 0, dtype=torch.bool),
    )
    inputs['roi_missing'] = list(range(8))
    losses = run(model, data)
    sum(value for name, value in losses.items() if name.startswith('loss_')).backward()
    assert float(losses['loss_mrm']) == 0  # nothing to predict
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_impossible_configurations_are_refused(rc3: Any) -> None:
    with pytest.raises(ValueError, match='needs a patch encoder, a ROI encoder'):
        rc3(patch_encoder=None, roi_encoder=None)
    with pytest.raises(ValueError, match='roi_encoder'):
        rc3(roi_encoder=None)
    with pytest.raises(ValueError, match='form_probs'):
        rc3(form_probs=dict(roy=1.0))
    with pytest.raises(ValueError, match='ITM objective'):
        rc3(['itc']).match_scores(torch.zeros(1, 32))


def test_no_objective_for_a_source_is_an_error(rc3: Any, batch: Any) -> None:
    with pytest.raises(ValueError, match='no objective runs on source "parallel"'):
        run(rc3(['itc']), batch('parallel'))


def test_images_travel_as_uint8_and_are_normalised_on_the_device(rc3: Any, batch: Any) -> None:
    data = batch('strict')
    assert data['inputs']['image'].dtype == torch.uint8
    image = rc3().data_preprocessor(data)['inputs']['image']
    assert image.dtype == torch.float32 and -3 < float(image.min()) < float(image.max()) < 3


def test_state_dict_keys_are_a_contract(rc3: Any) -> None:
    """A checkpoint of today must load tomorrow: the names of the parts outside the wrapped libraries."""
    own = {
        key
        for key in rc3().state_dict()
        if not key.startswith(('text_encoder.model.', 'patch_encoder.model.', 'fusion.layers.1.'))
    }
    layer = [f'{a}_{b}' for a in ('self', 'cross') for b in ('norm', 'attention')]
    attention = [f'{part}.{p}' for part in ('query', 'key_value', 'out') for p in ('weight', 'bias')]
    expected = {f'fusion.layers.0.{name}.{p}' for name in layer[::2] for p in ('weight', 'bias')}
    expected |= {f'fusion.layers.0.{name}.{p}' for name in layer[1::2] for p in attention}
    expected |= {f'fusion.layers.0.mlp.{i}.{p}' for i in (0, 1, 3) for p in ('weight', 'bias')}
    for part in ('fusion.norm', 'patch_encoder.projection', 'patch_encoder.norm', 'roi_encoder.norm'):
        expected |= {f'{part}.weight', f'{part}.bias'}
    for part in ('feature.0', 'feature.1', 'box.0', 'box.1', 'mlp.0', 'mlp.2'):
        expected |= {f'roi_encoder.{part}.weight', f'roi_encoder.{part}.bias'}
    for part in ('image_projection', 'text_projection', 'fused_projection', 'objectives.itm.head'):
        expected |= {f'{part}.weight', f'{part}.bias'}
    expected |= {'patch_encoder.form_embedding', 'roi_encoder.form_embedding'}
    expected |= {'tau_towers.log_tau', 'tau_fused.log_tau', 'objectives.xlco.tau.log_tau', 'lm_head.bias'}
    expected |= {f'lm_head.{part}.{p}' for part in ('dense', 'norm') for p in ('weight', 'bias')}
    expected |= {f'objectives.mrm.{part}.{p}' for part in ('transform.0', 'transform.2') for p in ('weight', 'bias')}
    expected |= {'objectives.mrm.mask_feature', 'objectives.mrm.regressor.weight', 'objectives.mrm.regressor.bias'}
    expected |= {f'objectives.rxvtcl.means.{name}' for name in ('s_pos', 's_neg', 'updates')}
    assert own == expected
