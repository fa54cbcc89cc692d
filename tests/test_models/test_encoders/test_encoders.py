"""Encoders: any by name, folder or configuration; clear errors; shapes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel

from rc3mm.models.encoders import FusionEncoder, PatchEncoder, RoiEncoder, TextEncoder
from rc3mm.models.layers import box_geometry, masked_mean

TINY: dict[str, Any] = dict(
    vocab_size=50,
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=40,
)


@pytest.mark.parametrize('model_type', ['xlm-roberta', 'bert', 'electra', 'roberta'])
def test_any_transformers_encoder_by_configuration(model_type: str) -> None:
    encoder = TextEncoder(config=dict(model_type=model_type, **TINY))
    ids = torch.randint(4, 50, (3, 7))
    assert encoder(ids, torch.ones(3, 7, dtype=torch.bool)).shape == (3, 7, 16)
    assert encoder.width == 16 and encoder.vocab_size == 50


def test_weights_come_from_a_local_folder(tmp_path: Path) -> None:
    saved = AutoModel.from_config(AutoConfig.for_model('xlm-roberta', **TINY), add_pooling_layer=False)
    saved.save_pretrained(tmp_path / 'weights')
    loaded = TextEncoder(pretrained=str(tmp_path / 'weights'))
    assert torch.equal(loaded.word_embeddings, saved.get_input_embeddings().weight)


def test_missing_weights_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    with pytest.raises(FileNotFoundError, match='hf download') as error:
        TextEncoder(pretrained=str(tmp_path / 'nowhere'))
    assert str(tmp_path / 'nowhere') in str(error.value)
    with pytest.raises(ValueError, match='pretrained'):
        TextEncoder()


@pytest.mark.parametrize('model_type', ['xlm-roberta', 'bert'])
def test_in_training_all_tokens_but_the_first_move_together(model_type: str) -> None:
    encoder = TextEncoder(position_shift=4, config=dict(model_type=model_type, **TINY | dict(hidden_dropout_prob=0.0)))
    seen: list[torch.Tensor] = []
    embeddings = encoder.model.embeddings.position_embeddings
    embeddings.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    ids, mask = torch.randint(4, 50, (64, 7)), torch.ones(64, 7, dtype=torch.bool)
    encoder.eval()(ids, mask)
    encoder.train()(ids, mask)
    usual, moved = seen
    assert torch.equal(moved[:, 0], usual[0, 0].expand(64))
    shift = moved[:, 1:] - usual[:, 1:]
    assert (shift == shift[:, :1]).all() and set(shift[:, 0].tolist()) == {0, 1, 2, 3, 4}
    # where there is no room they stay where they are
    room = TINY['max_position_embeddings'] - int(usual[0, 0])
    encoder(torch.randint(4, 50, (8, room)), torch.ones(8, room, dtype=torch.bool))
    assert torch.equal(seen[-1], torch.arange(room).expand(8, room) + usual[0, 0])


def test_without_a_shift_training_reads_texts_as_tests_do() -> None:
    encoder = TextEncoder(config=TINY | dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
    ids, mask = torch.randint(4, 50, (3, 7)), torch.ones(3, 7, dtype=torch.bool)
    assert torch.equal(encoder.train()(ids, mask), encoder.eval()(ids, mask))
    with pytest.raises(ValueError, match='position_shift -1 must be'):
        TextEncoder(config=TINY, position_shift=-1)


@pytest.mark.parametrize(
    ('name', 'options'),
    [
        ('vit_tiny_patch16_224', dict(img_size=32)),
        ('deit_tiny_distilled_patch16_224', dict(img_size=32)),
        ('vit_tiny_patch16_224', dict(img_size=48, patch_size=8, embed_dim=32, depth=1, num_heads=2)),
        ('eva02_tiny_patch14_224', dict(img_size=28)),
    ],
)
def test_any_timm_vit_by_name(name: str, options: dict[str, Any]) -> None:
    encoder = PatchEncoder(name, width=24, **options)
    size = options['img_size']
    patch = encoder.model.patch_embed.patch_size[0]
    tokens = encoder(torch.randn(2, 3, size, size))
    assert tokens.shape == (2, encoder.model.num_prefix_tokens + (size // patch) ** 2, 24)


def test_a_model_without_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match='Vision Transformer'):
        PatchEncoder('resnet18', width=8)


def test_local_patch_weights(tmp_path: Path) -> None:
    options: dict[str, Any] = dict(img_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2)
    first = PatchEncoder('vit_tiny_patch16_224', width=8, **options)
    torch.save(first.model.state_dict(), tmp_path / 'vit.pth')
    second = PatchEncoder('vit_tiny_patch16_224', width=8, checkpoint=str(tmp_path / 'vit.pth'), **options)
    second.init_weights()  # MMEngine calls it before training
    assert all(torch.equal(a, b) for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True))


@pytest.mark.parametrize('part', ['text', 'patch', 'fusion'])
def test_gradient_checkpointing_changes_no_gradient(part: str) -> None:
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        module: Any
        if part == 'text':
            module = TextEncoder(
                config=dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, **TINY),
                gradient_checkpointing=checkpointing,
            )
            args: tuple = (torch.arange(4, 14).view(2, 5), torch.ones(2, 5, dtype=torch.bool))
        elif part == 'patch':
            module = PatchEncoder(
                'vit_tiny_patch16_224',
                8,
                gradient_checkpointing=checkpointing,
                img_size=16,
                patch_size=8,
                embed_dim=16,
                depth=2,
                num_heads=2,
            )
            args = (torch.linspace(-1, 1, 2 * 3 * 256).view(2, 3, 16, 16),)
        else:
            module = FusionEncoder(16, 2, 2, gradient_checkpointing=checkpointing)
            x = torch.linspace(-1, 1, 2 * 2 * 3 * 16).view(2, 2, 3, 16)
            args = (x, torch.ones(2, 2, 3, dtype=torch.bool), x[:, 0], torch.ones(2, 2, 3, dtype=torch.bool))
        module.train()
        module(*args).square().mean().backward()
        gradients.append([p.grad for p in module.parameters()])
    assert all(torch.allclose(a, b, atol=1e-7) for a, b in zip(*gradients, strict=True) if a is not None)


def test_roi_encoder_checks_the_features_width() -> None:
    encoder = RoiEncoder(feature_dim=12, width=8)
    boxes = torch.tensor([0.0, 0.0, 0.5, 1.0]).expand(2, 3, 4)
    assert encoder(torch.randn(2, 3, 12), boxes).shape == (2, 3, 8)
    assert encoder(torch.randn(2, 3, 12).half(), boxes).dtype == torch.float32
    with pytest.raises(ValueError, match='feature_dim'):
        encoder(torch.randn(2, 3, 10), boxes)


def test_order_of_regions_changes_no_text(tmp_path: Path) -> None:
    """Regions are a set: the fused state of a text does not depend on their order."""
    torch.manual_seed(0)
    fusion = FusionEncoder(16, 2, 2)
    text, regions = torch.randn(1, 1, 4, 16), torch.randn(1, 5, 16)
    text_mask, seen = torch.ones(1, 1, 4, dtype=torch.bool), torch.ones(1, 1, 5, dtype=torch.bool)
    order = torch.tensor([3, 1, 4, 0, 2])
    assert torch.allclose(
        fusion(text, text_mask, regions, seen), fusion(text, text_mask, regions[:, order], seen), atol=1e-6
    )


def test_projection_where_text_and_fusion_differ_in_width() -> None:
    fusion = FusionEncoder(16, 1, 2, text_width=24)
    mask = torch.ones(2, 1, 3, dtype=torch.bool)
    assert fusion(torch.randn(2, 1, 3, 24), mask, torch.randn(2, 3, 16), mask).shape == (2, 1, 3, 16)
    with pytest.raises(ValueError, match='multiple of heads'):
        FusionEncoder(16, 1, 3)


def test_box_geometry_is_corners_size_and_area() -> None:
    box = torch.tensor([0.1, 0.2, 0.5, 0.8])
    assert torch.allclose(box_geometry(box), torch.tensor([0.1, 0.2, 0.5, 0.8, 0.4, 0.6, 0.24]))


def test_masked_mean_ignores_padding() -> None:
    x = torch.tensor([[[1.0], [3.0], [100.0]], [[5.0], [7.0], [9.0]]])
    mask = torch.tensor([[True, True, False], [False, False, False]])
    assert torch.equal(masked_mean(x, mask), torch.tensor([[2.0], [0.0]]))


def fused_texts() -> tuple[FusionEncoder, dict[str, torch.Tensor], list[int]]:
    """Two texts of each of three images, of different lengths."""
    torch.manual_seed(0)
    lengths = [4, 2, 3, 1, 2, 2]
    mask = (torch.arange(4) < torch.tensor(lengths)[:, None]).view(3, 2, 4)
    seen = torch.rand(3, 2, 5) > 0.4
    seen[..., 0] = True
    arguments = dict(text_BPTE=torch.randn(3, 2, 4, 16), text_mask_BPT=mask, visual_mask_BPV=seen)
    return FusionEncoder(16, 2, 2), arguments, lengths


def test_nothing_is_computed_on_padding_and_nothing_changes() -> None:
    fusion, arguments, lengths = fused_texts()
    visual, mask = torch.randn(3, 5, 16), arguments['text_mask_BPT']
    sizes: list[int] = []
    fusion.layers[0].mlp.register_forward_hook(lambda module, args, out: sizes.append(len(out)))
    padded = fusion(visual=visual, **arguments)
    packed = fusion(visual=visual, lengths=lengths, **arguments)
    torch.testing.assert_close(packed[mask], padded[mask], rtol=1e-5, atol=1e-6)
    pooled = fusion(visual=visual, lengths=lengths, pooled=True, **arguments)
    torch.testing.assert_close(pooled, padded[:, :, 0], rtol=1e-5, atol=1e-6)
    assert sizes == [24, 14, 14]


@pytest.mark.parametrize('packed', [True, False])
def test_states_at_some_places_are_those_of_all(packed: bool) -> None:
    fusion, arguments, lengths = fused_texts()
    visual = torch.randn(3, 5, 16)
    places, counts = torch.tensor([0, 3, 4, 9, 10, 20]), [2, 1, 2, 0, 0, 1]
    some = fusion(visual=visual, lengths=lengths if packed else None, at=(places, counts), **arguments)
    whole = fusion(visual=visual, **arguments).flatten(0, 2)
    torch.testing.assert_close(some, whole[places], rtol=1e-5, atol=1e-6)
    none = fusion(visual=visual, at=(places[:0], [0] * 6), **arguments)
    assert none.shape == (0, 16)


def test_visual_tokens_are_read_once_for_several_calls() -> None:
    fusion, arguments, _ = fused_texts()
    visual, more = torch.randn(3, 5, 16), torch.randn(3, 2, 16)
    memory = fusion.read_visual(visual)
    torch.testing.assert_close(fusion(visual=memory, **arguments), fusion(visual=visual, **arguments))
    rows = torch.tensor([2, 0, 0])
    torch.testing.assert_close(
        fusion(visual=memory.select(rows), **arguments), fusion(visual=visual[rows], **arguments)
    )
    appended = memory.append(fusion.read_visual(more), kept=3)
    torch.testing.assert_close(
        fusion(visual=appended, **arguments), fusion(visual=torch.cat([visual[:, :3], more], 1), **arguments)
    )


def test_patches_can_be_dropped_in_training() -> None:
    """Masking of FLIP (Li et al. 2023): a share of the patches is not encoded at all."""
    options = dict(img_size=32, patch_size=8, embed_dim=16, depth=1, num_heads=2)
    encoder = PatchEncoder('vit_tiny_patch16_224', 16, patch_drop_rate=0.5, **options)
    images = torch.randn(2, 3, 32, 32)
    assert encoder.train()(images).shape == (2, 1 + 8, 16)
    assert encoder.eval()(images).shape == (2, 1 + 16, 16)
