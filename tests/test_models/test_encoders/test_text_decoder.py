"""The text decoder: causal, cached, many strings on one memory, and started from a fusion head."""

from typing import Any

import pytest
import torch
from torch import Tensor

from rc3mm.models.encoders import FusionEncoder
from rc3mm.models.encoders.text_decoder import DecoderCache, DecoderLayer, TextDecoder
from rc3mm.models.layers import MaskedLMHead
from rc3mm.models.layers.decoding import beam_search, sequence_log_likelihood

WIDTH, VOCAB = 16, 20


class World:
    """A decoder, its embeddings and output layer, and memories of different lengths."""

    def __init__(self, items: int = 3, **options: Any) -> None:
        torch.manual_seed(0)
        self.embeddings = torch.randn(VOCAB, options.get('embedding_width', WIDTH))
        self.decoder = TextDecoder(WIDTH, 2, 2, mlp_ratio=2, max_positions=12, **options)
        self.head = MaskedLMHead(WIDTH, self.embeddings.shape[1], VOCAB)
        self.memory = torch.randn(items, 5, options.get('memory_width', WIDTH))
        self.mask = torch.arange(5) < torch.tensor([5, 3, 1, 4])[:items, None]

    def ids(self, strings: int = 4, length: int = 7) -> Tensor:
        generator = torch.Generator().manual_seed(2)
        return torch.randint(2, VOCAB, (len(self.memory), strings, length), generator=generator)

    def read(self, ids: Tensor, cache: DecoderCache | None = None, rows: slice = slice(None)) -> Tensor:
        memory = self.decoder.read_memory(self.memory[rows], self.mask[rows])
        return self.decoder(ids, self.embeddings, memory, cache)

    def logits(self, hidden: Tensor) -> Tensor:
        return self.head(hidden, self.embeddings)


@pytest.mark.parametrize('options', [{}, dict(embedding_width=10, memory_width=24)])
@pytest.mark.parametrize('pieces', [[1] * 7, [3, 1, 3], [6, 1]])
def test_step_by_step_equals_all_at_once(options: dict[str, int], pieces: list[int]) -> None:
    world, cache = World(**options), DecoderCache()
    ids = world.ids()
    whole = world.logits(world.read(ids))
    parts = [world.logits(world.read(part, cache)) for part in ids.split(pieces, 2)]
    torch.testing.assert_close(torch.cat(parts, 2), whole, rtol=0, atol=1e-5)
    assert cache.length == 7


def test_no_token_sees_a_later_one() -> None:
    world = World()
    ids = world.ids()
    changed = ids.clone()
    changed[..., 4:] = 2
    before, after = world.read(ids), world.read(changed)
    torch.testing.assert_close(before[:, :, :4], after[:, :, :4], rtol=0, atol=1e-6)
    assert not torch.allclose(before[:, :, 4:], after[:, :, 4:], atol=1e-2)


def test_strings_and_items_do_not_mix() -> None:
    world = World()
    ids = world.ids()
    together = world.read(ids)
    for row in range(3):
        for string in range(4):
            alone = world.read(ids[row : row + 1, string : string + 1], rows=slice(row, row + 1))
            torch.testing.assert_close(alone[0, 0], together[row, string], rtol=0, atol=1e-5)


def test_the_memory_is_seen_but_not_its_padding() -> None:
    world = World()
    before = world.read(world.ids())
    world.memory[~world.mask] = 9.0
    torch.testing.assert_close(world.read(world.ids()), before)
    world.memory[2, 0] = 9.0
    after = world.read(world.ids())
    assert torch.equal(after[:2], before[:2]) and not torch.allclose(after[2], before[2], atol=1e-2)


@pytest.mark.parametrize('beams', [1, 4])
def test_search_with_a_cache_equals_search_that_reads_all_anew(beams: int) -> None:
    world, cache = World(), DecoderCache()
    with torch.no_grad():
        world.embeddings *= 3  # sharper, so that beams change places
        memory = world.decoder.read_memory(world.memory, world.mask)
    changes: list[bool] = []

    def cached(new: Tensor, parents: Tensor | None) -> Tensor:
        if parents is not None:
            cache.select(parents)
            changes.append(not torch.equal(parents, torch.arange(parents.shape[1]).expand_as(parents)))
        return world.logits(world.decoder(new, world.embeddings, memory, cache)[:, :, -1])

    strings: Tensor | None = None

    def anew(new: Tensor, parents: Tensor | None) -> Tensor:
        nonlocal strings
        if strings is not None and parents is not None:
            new = torch.cat([strings[torch.arange(3)[:, None], parents], new], 2)
        strings = new
        return world.logits(world.read(strings)[:, :, -1])

    start = torch.tensor([[2, 3]] * 3)
    first, second = (beam_search(step, start, 1, 0, beams, 9, min_length=4) for step in (cached, anew))
    assert torch.equal(first.ids_BL, second.ids_BL)
    torch.testing.assert_close(first.scores_B, second.scores_B)
    assert beams == 1 or sum(changes) > 2


def test_likelihoods_read_the_memory_once_and_equal_a_loop() -> None:
    world = World()
    ids = world.ids(strings=10)
    mask = torch.arange(7) < torch.randint(2, 8, (3, 10, 1), generator=torch.Generator().manual_seed(0))
    calls: list[int] = []
    for layer in world.decoder.layers:
        layer.cross_attention.key_value.register_forward_hook(lambda *_: calls.append(1))
    memory = world.decoder.read_memory(world.memory, world.mask)
    found = sequence_log_likelihood(
        lambda part: world.decoder(part, world.embeddings, memory), world.logits, ids, mask, candidates_at_once=3
    )
    assert len(calls) == 2
    for row in range(3):
        for column in range(10):
            string = ids[row, column, : int(mask[row, column].sum())]
            log_p = world.logits(world.read(string[None, None, :-1], rows=slice(row, row + 1)))[0, 0].log_softmax(-1)
            naive = log_p.gather(1, string[1:, None]).sum()
            assert float(found[row, column].detach()) == pytest.approx(float(naive.detach()), abs=1e-4)


def test_every_parameter_learns() -> None:
    world = World(embedding_width=10, memory_width=24, dropout=0.1)
    world.logits(world.read(world.ids(length=12))).log_softmax(-1)[..., 3].mean().backward()
    assert not [name for name, parameter in world.decoder.named_parameters() if parameter.grad is None]


def test_too_many_tokens() -> None:
    world, cache = World(), DecoderCache()
    world.read(world.ids(length=12), cache)
    with pytest.raises(ValueError, match='13 tokens for a decoder of 12 positions; raise `max_positions`'):
        world.read(world.ids(length=1), cache)


# -- from a fusion head


def test_a_layer_has_the_parameters_of_a_fusion_layer_and_computes_the_same() -> None:
    torch.manual_seed(0)
    fusion, ours = FusionEncoder(WIDTH, 1, 2, mlp_ratio=2), DecoderLayer(WIDTH, 2, 2.0, 0.0)
    fusion.norm = torch.nn.Identity()
    ours.load_state_dict(fusion.layers[0].state_dict())
    x, visual = torch.randn(3, 2, 4, WIDTH), torch.randn(3, 5, WIDTH)
    text_mask, seen = torch.ones(3, 2, 4, dtype=torch.bool), torch.ones(3, 2, 5, dtype=torch.bool)
    seen[0, :, 3:] = False
    wanted = fusion(x, text_mask, visual, seen)
    memory = ours.cross_attention.keys_values(visual)
    found, _ = ours(x, None, None, memory, seen[:, :1, None])
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


def test_copy_from_fusion() -> None:
    fusion, decoder = FusionEncoder(WIDTH, 2, 2, mlp_ratio=2), TextDecoder(WIDTH, 2, 2, mlp_ratio=2)
    report = decoder.copy_from_fusion(fusion)
    assert all(torch.equal(decoder.state_dict()[name], fusion.state_dict()[name]) for name in report.copied)
    assert set(report.fresh) == {'positions', 'input_norm.weight', 'input_norm.bias'}
    assert set(report.copied) | set(report.fresh) == set(decoder.state_dict()) and report.unused == ()


def test_copy_from_a_fusion_head_of_another_build() -> None:
    shallow = FusionEncoder(WIDTH, 1, 2, mlp_ratio=4, text_width=24)
    report = TextDecoder(WIDTH, 2, 2, mlp_ratio=2, memory_width=8).copy_from_fusion(shallow)
    assert report.fresh['layers.1.self_norm.weight'] == report.fresh['memory_projection.weight'] == 'no counterpart'
    assert report.fresh['layers.0.mlp.1.weight'] == f'shape (32, {WIDTH}), there (64, {WIDTH})'
    assert 'layers.0.cross_attention.key_value.weight' in report.copied
    assert {'text_projection.weight', 'layers.0.mlp.1.weight'} <= set(report.unused)
    for other in (TextDecoder(WIDTH, 1, 4), TextDecoder(2 * WIDTH, 1, 2)):
        with pytest.raises(ValueError, match='make them equal'):
            other.copy_from_fusion(shallow)
