"""The translator: its losses, its search, its controls, and its start from a pre-trained model."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.runner import load_checkpoint
from mmengine.runner.checkpoint import load_state_dict

from rc3mm.datasets import vl_collate
from rc3mm.models.tasks.translation import VLTranslator
from rc3mm.registry import DATASETS
from rc3mm.structures import VisualForm, VLDataSample
from tests.test_models.conftest import tiny_backbone

WIDTH = 32
BOTH = VisualForm.BOTH


def tiny_translator(seed: int = 0, **options: Any) -> VLTranslator:
    """With the backbone of the tiny RC3 of these tests; in evaluation mode."""
    torch.manual_seed(seed)
    config: dict[str, Any] = dict(
        **tiny_backbone(),
        decoder=dict(type='TextDecoder', depth=2, heads=2, mlp_ratio=2, max_positions=64),
        tokenizer='emoji',
        search=dict(beams=3, max_length=30),
    )
    return VLTranslator(**{**config, **options}).eval()


def to_translation(sample: dict[str, Any]) -> dict[str, Any]:
    """A strict pair as an item of translation."""
    source, target = sample['texts']
    return {**sample, 'source': 'translation', 'texts': [source], 'target': target}


def translation_batch(model: VLTranslator, rows: Sequence[int] = range(8)) -> dict[str, Any]:
    """A batch of EmojiScenes as the model gets it."""
    dataset = DATASETS.build(
        dict(
            type='EmojiStrict',
            languages=('en', 'de'),
            num_scenes=100,
            num_concepts=60,
            image_size=32,
            pipeline=[
                to_translation,
                dict(type='RoiPixels'),
                dict(type='Tokenize', tokenizer='emoji', max_length=60),
                dict(type='TokenizeTarget', tokenizer='emoji', max_length=60),
                dict(type='PackVLInputs'),
            ],
        )
    )
    return model.data_preprocessor(vl_collate([dataset[row] for row in rows]))


def test_the_loss_is_the_likelihood_of_the_targets() -> None:
    model = tiny_translator(label_smoothing=0.0)
    batch = translation_batch(model)
    inputs, samples = batch['inputs'], batch['data_samples']
    losses = model(**batch, mode='loss')
    ids, mask = inputs['target_ids'][:, None], inputs['target_mask'][:, None]
    log_p = model.log_likelihood(inputs, samples, ids, mask, BOTH)
    wanted = -log_p.sum() / inputs['target_mask'][:, 1:].sum()
    torch.testing.assert_close(losses['loss_translation'], wanted, rtol=1e-5, atol=1e-5)
    smoothed = tiny_translator(label_smoothing=0.3)(**batch, mode='loss')['loss_translation']
    assert smoothed > 0 and not torch.isclose(smoothed, wanted, atol=1e-4)
    wider = {**inputs, 'target_ids': torch.nn.functional.pad(inputs['target_ids'], (0, 3), value=7)}
    wider['target_mask'] = torch.nn.functional.pad(inputs['target_mask'], (0, 3))
    torch.testing.assert_close(model(wider, samples, mode='loss')['loss_translation'], wanted, rtol=1e-5, atol=1e-5)


def test_every_part_learns() -> None:
    model = tiny_translator().train()
    model(**translation_batch(model), mode='loss')['loss_translation'].backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]


def test_it_learns_to_write_its_targets() -> None:
    """The whole way: teacher forcing, search with a cache, and the strings that come out."""
    model = tiny_translator().train()
    batch = translation_batch(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for _ in range(120):
        losses = model(**batch, mode='loss')
        optimizer.zero_grad()
        losses['loss_translation'].backward()
        optimizer.step()
    assert losses['translation_acc'] == 1
    found = model.eval()(**batch, mode='predict')
    references = [model.tokenizer.decode(ids, skip_special_tokens=True) for ids in batch['inputs']['target_ids']]
    assert [sample.hypothesis for sample in found] == references
    for sample, ids, mask in zip(found, batch['inputs']['target_ids'], batch['inputs']['target_mask'], strict=True):
        assert torch.equal(sample.hypothesis_ids, ids[mask][1:])


def test_scores_of_hypotheses_are_their_likelihoods() -> None:
    model = tiny_translator(search=dict(beams=3, max_length=9, length_penalty=1.0, min_length=3))
    batch = translation_batch(model)
    inputs, samples = batch['inputs'], model(**batch, mode='predict')
    for row, sample in enumerate(samples):
        ids = torch.cat([inputs['target_ids'][row, :1], sample.hypothesis_ids])
        log_p = model.log_likelihood(
            inputs, samples, ids.expand(8, 1, -1), torch.ones(8, 1, len(ids), dtype=torch.bool), BOTH
        )
        normalised = log_p[row, 0] / ((5 + len(ids) - 1) / 6)
        assert float(sample.hypothesis_score) == pytest.approx(float(normalised), abs=1e-4)


def test_of_the_target_search_reads_the_start_alone() -> None:
    model = tiny_translator(start_tokens=2, search=dict(beams=2, max_length=6, min_length=3))
    batch = translation_batch(model)
    first = [sample.hypothesis_ids for sample in model(**batch, mode='predict')]
    known = torch.stack([sample.hypothesis_score for sample in batch['data_samples']])
    batch['inputs']['target_ids'] = batch['inputs']['target_ids'][:, :2]
    again = [sample.hypothesis_ids for sample in model(**batch, mode='predict')]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    batch['inputs']['target_ids'] = batch['inputs']['target_ids'] + torch.tensor([0, 5])
    scores = torch.stack([sample.hypothesis_score for sample in model(**batch, mode='predict')])
    assert (scores - known).abs().min() > 1e-4, 'the second start token is not read'


def test_given_tokens_are_no_targets() -> None:
    inputs_of = translation_batch(tiny_translator())
    inputs, samples = inputs_of['inputs'], inputs_of['data_samples']
    one, two = (tiny_translator(start_tokens=n, label_smoothing=0.0) for n in (1, 2))
    ids, mask = inputs['target_ids'][:, None], inputs['target_mask'][:, None]
    whole = one.log_likelihood(inputs, samples, ids, mask, BOTH)
    second = one.log_likelihood(inputs, samples, ids[..., :2], mask[..., :2], BOTH)
    wanted = -(whole - second).sum() / inputs['target_mask'][:, 2:].sum()
    torch.testing.assert_close(two(inputs, samples, mode='loss')['loss_translation'], wanted, rtol=1e-5, atol=1e-5)


# -- what is seen


def other_pixels(inputs: dict[str, Any]) -> dict[str, Any]:
    return {**inputs, 'image': inputs['image'].flip(3) + 1, 'roi_features': inputs['roi_features'].flip(2) + 1}


def test_without_the_image_no_visual_token_is_seen_and_no_image_encoder_runs() -> None:
    model = tiny_translator()
    batch = translation_batch(model)
    inputs, samples = batch['inputs'], batch['data_samples']
    seen, mask = model.encode(inputs, samples, BOTH)
    # the decoder reads the text, which has seen the image, and not the image: else it tells what is there in any order
    assert seen.shape[:2] == mask.shape and torch.equal(mask, inputs['text_mask'])
    assert not torch.allclose(seen, model.encode(other_pixels(inputs), samples, BOTH)[0], atol=1e-3)
    for part in (model.patch_encoder, model.roi_encoder):
        part.register_forward_hook(lambda *_: pytest.fail('an image encoder ran'))
    blind, mask = model.encode(inputs, samples, BOTH, image='none')
    assert torch.equal(mask, inputs['text_mask']) and torch.isfinite(blind[mask]).all()
    assert torch.equal(blind, model.encode(other_pixels(inputs), samples, BOTH, image='none')[0])
    text_only = {key: value for key, value in inputs.items() if key.startswith(('text', 'target'))}
    by_argument = [sample.hypothesis_ids for sample in model.predict(text_only, samples, BOTH, image='none')]
    by_model = tiny_translator(image='none')(text_only, samples, mode='predict')
    assert all(torch.equal(a, b.hypothesis_ids) for a, b in zip(by_argument, by_model, strict=True))
    assert torch.isfinite(tiny_translator(image='none')(text_only, samples, mode='loss')['loss_translation'])


def test_the_wrong_image_is_that_of_the_next_item() -> None:
    model = tiny_translator()
    batch = translation_batch(model)
    inputs, samples = batch['inputs'], batch['data_samples']
    wrong = model.encode(inputs, samples, BOTH, image='wrong')
    keys = ('image', 'roi_features', 'roi_boxes', 'roi_mask')
    rolled = model.encode({**inputs, **{key: inputs[key].roll(-1, 0) for key in keys}}, samples, BOTH)
    torch.testing.assert_close(wrong, rolled)
    assert not torch.allclose(wrong[0], model.encode(inputs, samples, BOTH)[0], atol=1e-3)
    # items 0 to 6 are of one image: all of them look at that of item 7
    same = [VLDataSample(metainfo=dict(image_id='b' if row == 7 else 'a', source='translation')) for row in range(8)]
    order = torch.tensor([7] * 7 + [0])
    chosen = model.encode({**inputs, **{key: inputs[key][order] for key in keys}}, samples, BOTH)
    torch.testing.assert_close(model.encode(inputs, same, BOTH, image='wrong'), chosen)
    with pytest.raises(ValueError, match=r'needs two different images a batch, this one has a alone'):
        model.encode(inputs, same[:1] * 8, BOTH, image='wrong')


@pytest.mark.parametrize('form', list(VisualForm))
def test_all_forms_are_translated(form: VisualForm) -> None:
    model = tiny_translator(search=dict(beams=2, max_length=4))
    batch = translation_batch(model)
    samples = model.predict(batch['inputs'], batch['data_samples'], form)
    assert all(isinstance(sample.hypothesis, str) for sample in samples)


def test_alone_as_in_a_batch() -> None:
    model = tiny_translator(search=dict(beams=3, max_length=8, min_length=4))
    together = model(**translation_batch(model), mode='predict')
    for row in range(8):
        (alone,) = model(**translation_batch(model, [row]), mode='predict')
        assert torch.equal(alone.hypothesis_ids, together[row].hypothesis_ids)


# -- weights


def test_the_decoder_starts_from_the_fusion_head_of_a_pretrained_model(rc3: Any, tmp_path: Path) -> None:
    weights = rc3(['itc'], seed=5).state_dict()
    torch.save({'state_dict': weights}, tmp_path / 'rc3.pth')
    by_file, by_torch = tiny_translator(), tiny_translator()
    load_checkpoint(by_file, str(tmp_path / 'rc3.pth'), map_location='cpu')
    missing = by_torch.load_state_dict(weights, strict=False).missing_keys
    assert sorted(missing) == ['decoder.input_norm.bias', 'decoder.input_norm.weight', 'decoder.positions']
    for model in (by_file, by_torch):
        loaded = model.state_dict()
        for name, value in weights.items():
            if name.startswith(('fusion.layers.', 'fusion.norm.')):
                assert torch.equal(loaded[name.replace('fusion.', 'decoder.', 1)], value)
            if name.startswith(('text_encoder.', 'patch_encoder.', 'roi_encoder.', 'fusion.', 'lm_head.')):
                assert torch.equal(loaded[name], value)


def test_a_translator_keeps_its_decoder(rc3: Any) -> None:
    trained = tiny_translator(seed=3)
    resumed = copy.deepcopy(tiny_translator())
    load_state_dict(resumed, trained.state_dict(), strict=True)
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), trained.parameters(), strict=True))
    before = tiny_translator(seed=4)
    part = {name: value for name, value in rc3(['itc']).state_dict().items() if name.startswith('text_encoder.')}
    old = copy.deepcopy(before.decoder.state_dict())
    before.load_state_dict(part, strict=False)  # no fusion head: nothing to start from
    assert all(torch.equal(value, old[name]) for name, value in before.decoder.state_dict().items())


# -- what it refuses


def test_what_it_refuses() -> None:
    model = tiny_translator()
    batch = translation_batch(model)
    inputs, samples = batch['inputs'], batch['data_samples']
    with pytest.raises(ValueError, match="image must be among right, wrong, none, got 'blurred'"):
        tiny_translator(image='blurred')
    with pytest.raises(ValueError, match='image must be among'):
        model.predict(inputs, samples, BOTH, image='left')
    with pytest.raises(ValueError, match='raise its `max_positions`'):
        tiny_translator(search=dict(max_length=65))
    with pytest.raises(ValueError, match='start_tokens must be at least 1'):
        tiny_translator(start_tokens=0)
    several = {key: inputs[key].repeat(2, 1) for key in ('text_ids', 'text_mask')}
    with pytest.raises(ValueError, match='got 16 texts and 8 images'):
        model.encode({**inputs, **several, 'text_lengths': None}, samples, BOTH)
    with pytest.raises(KeyError, match='this batch lacks'):
        model.predict({key: inputs[key] for key in ('text_ids', 'text_mask', 'target_ids')}, samples, BOTH)
