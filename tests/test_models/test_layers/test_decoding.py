"""Beam search against greedy and exhaustive search, and likelihoods against a loop."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rc3mm.models.layers.decoding import beam_search, sequence_log_likelihood, stable_topk

PAD, END, START = 0, 1, 2
PENALTIES = [0.0, 0.6, 1.0, 2.0, -0.5]


class Recurrent(nn.Module):
    """A language model with a state, conditioned on a vector an item; sharp enough to have preferences."""

    def __init__(self, vocab_size: int, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.embedding, self.cell, self.out = nn.Embedding(vocab_size, 8), nn.GRUCell(8, 8), nn.Linear(8, vocab_size)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=1.0)
        self.calls = 0

    def start(self, items_BD: Tensor) -> Any:
        """A step function for `beam_search`."""
        state_BKD = items_BD[:, None]

        @torch.no_grad()
        def step(new_BKn: Tensor, parents_BK: Tensor | None) -> Tensor:
            nonlocal state_BKD
            self.calls += 1
            if parents_BK is not None:
                state_BKD = state_BKD[torch.arange(len(parents_BK))[:, None], parents_BK]
            for column in range(new_BKn.shape[2]):
                embedded = self.embedding(new_BKn[..., column]).flatten(0, 1)
                state_BKD = self.cell(embedded, state_BKD.flatten(0, 1)).view(*new_BKn.shape[:2], 8)
            return self.out(state_BKD)

        return step

    def log_p(self, item_D: Tensor, start: list[int], string: tuple[int, ...]) -> float:
        """Log probability of one string, token by token."""
        step = self.start(item_D[None])
        logits = step(torch.tensor([[start]]), None)
        total = 0.0
        for token in string:
            total += float(logits[0, 0].log_softmax(-1)[token])
            logits = step(torch.tensor([[[token]]]), torch.zeros(1, 1, dtype=torch.long))
        return total


def items(count: int, seed: int = 1) -> Tensor:
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(seed))


def starts(count: int) -> Tensor:
    return torch.full((count, 1), START)


@pytest.mark.parametrize('penalty', PENALTIES)
@pytest.mark.parametrize('start', [[START], [START, 4]])
def test_enough_beams_find_what_exhaustive_search_finds(penalty: float, start: list[int]) -> None:
    model, vectors, longest = Recurrent(6), items(5), 4
    words = [2, 3, 4, 5]
    strings = [(*string, END) for n in range(longest) for string in itertools.product(words, repeat=n)]
    given = torch.tensor([start] * 5)
    found = beam_search(model.start(vectors), given, END, PAD, 100, longest, penalty)
    for row, vector in enumerate(vectors):
        scored = {s: model.log_p(vector, start, s) / ((5 + len(s)) / 6) ** penalty for s in strings}
        best = max(scored, key=lambda string: scored[string])
        assert found.ids_BL[row, : len(best)].tolist() == list(best)
        assert (found.ids_BL[row, len(best) :] == PAD).all()
        assert float(found.scores_B[row]) == pytest.approx(scored[best], abs=1e-5)


@pytest.mark.parametrize('penalty', PENALTIES)
def test_one_beam_is_greedy_search(penalty: float) -> None:
    model, vectors, longest = Recurrent(12), items(20), 9
    found = beam_search(model.start(vectors), starts(20), END, PAD, 1, longest, penalty)
    lengths = set()
    for row, vector in enumerate(vectors):
        step, string = model.start(vector[None]), []
        new: Tensor = starts(1)[:, None]
        parents = None
        while not string or string[-1] != END:
            logits = step(new, parents)[0, 0]
            logits[PAD] = -torch.inf
            string.append(int(logits.argmax()) if len(string) < longest - 1 else END)
            new, parents = torch.tensor([[string[-1:]]]), torch.zeros(1, 1, dtype=torch.long)
        assert found.ids_BL[row, : len(string)].tolist() == string
        assert (found.ids_BL[row, len(string) :] == PAD).all()
        lengths.add(len(string))
    assert len(lengths) > 2, 'the strings are too alike to tell anything'


@pytest.mark.parametrize('beams', [1, 2, 5])
def test_an_item_is_translated_alone_as_in_a_batch(beams: int) -> None:
    model, vectors = Recurrent(30, seed=3), items(16)
    together = beam_search(model.start(vectors), starts(16), END, PAD, beams, 12, 1.0)
    for row in range(16):
        alone = beam_search(model.start(vectors[row : row + 1]), starts(1), END, PAD, beams, 12, 1.0)
        width = alone.ids_BL.shape[1]
        assert torch.equal(alone.ids_BL[0], together.ids_BL[row, :width])
        assert (together.ids_BL[row, width:] == PAD).all()
        assert float(alone.scores_B[0]) == pytest.approx(float(together.scores_B[row]), abs=1e-5)


def test_scores_are_of_the_strings_and_nothing_follows_the_end() -> None:
    """The beam's score belongs to its own string: states and strings were reordered alike."""
    model, vectors = Recurrent(30, seed=4), items(12)
    found = beam_search(model.start(vectors), starts(12), END, PAD, 4, 10, 0.6)
    for ids, score, vector in zip(found.ids_BL.tolist(), found.scores_B.tolist(), vectors, strict=True):
        assert ids.count(END) == 1 and set(ids[ids.index(END) + 1 :]) <= {PAD}
        string = tuple(ids[: ids.index(END) + 1])
        assert PAD not in string
        assert score == pytest.approx(model.log_p(vector, [START], string) / ((5 + len(string)) / 6) ** 0.6, abs=1e-4)


def test_more_beams_find_better_strings_in_the_mean() -> None:
    model, vectors = Recurrent(40, seed=5), items(40)
    means = [
        float(beam_search(model.start(vectors), starts(40), END, PAD, beams, 10, 0.0).scores_B.mean())
        for beams in (1, 3, 10)
    ]
    assert means == sorted(means) and means[0] < means[2]


@pytest.mark.parametrize(('shortest', 'longest'), [(0, 1), (3, 4), (2, 6)])
def test_bounds_of_length(shortest: int, longest: int) -> None:
    model, vectors = Recurrent(10), items(10)
    found = beam_search(model.start(vectors), starts(10), END, PAD, 3, longest, min_length=shortest)
    words = (found.ids_BL == END).int().argmax(1)
    assert (words >= shortest).all() and (words < longest).all()
    assert torch.isfinite(found.scores_B).all()


def test_ties_go_to_the_earlier_string_and_the_lower_token() -> None:
    def uniform(new_BKn: Tensor, parents_BK: Tensor | None) -> Tensor:
        return torch.zeros(*new_BKn.shape[:2], 7)

    for beams in (1, 3, 50):
        found = beam_search(uniform, starts(3), END, PAD, beams, 6, 0.0, min_length=2)
        assert found.ids_BL.tolist() == [[2, 2, END]] * 3
        assert beam_search(uniform, starts(2), END, PAD, beams, 6, 0.0).ids_BL.tolist() == [[END]] * 2


def test_the_greatest_values_first_come_first() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        values = torch.randint(0, 4, (5, 30), generator=generator).float()
        values[values == 0] = -torch.inf
        for k in (1, 7, 29, 30, 99):
            found, places = stable_topk(values, k)
            wanted = values.sort(dim=1, descending=True, stable=True)
            assert torch.equal(found, wanted.values[:, :k]) and torch.equal(places, wanted.indices[:, :k])


def test_search_stops_once_nothing_can_win() -> None:
    model, vectors = Recurrent(10), items(4)
    with torch.no_grad():
        model.out.bias[END] = 50.0
    assert beam_search(model.start(vectors), starts(4), END, PAD, 4, 30, 1.0).ids_BL.tolist() == [[END]] * 4
    assert model.calls == 1


def table(rows: dict[int, dict[int, float]]) -> Any:
    """A step function whose next token hangs on the last one alone: last token -> probabilities of the next."""

    def step(new_BKn: Tensor, parents_BK: Tensor | None) -> Tensor:
        probabilities = torch.full((8, 8), 1e-9)
        for last, following in rows.items():
            for token, probability in following.items():
                probabilities[last, token] = probability
        return probabilities.log()[new_BKn[..., -1]]

    return step


def test_a_string_behind_now_may_win_by_its_length() -> None:
    """log 0.36 = -1.02 at length 1 loses to log 0.34 / (7/6)^2 = -0.79 at length 2."""
    step = table({START: {END: 0.36, 3: 0.34, 4: 0.3}, 3: {END: 1.0}, 4: {END: 1.0}})
    found = beam_search(step, starts(1), END, PAD, 5, 4, 2.0)
    assert found.ids_BL.tolist() == [[3, END]]
    assert float(found.scores_B[0]) == pytest.approx(-1.0788 / (7 / 6) ** 2, abs=1e-3)
    assert beam_search(step, starts(1), END, PAD, 5, 4, 0.0).ids_BL.tolist() == [[END]]


def test_a_string_that_ends_leaves_its_place_to_the_next() -> None:
    """With two beams, 4 goes on beside 3 although the end was likelier than both."""
    spread = dict.fromkeys((3, 5, 6, 7), 0.25)
    step = table({START: {END: 0.5, 3: 0.3, 4: 0.2}, 3: spread, 4: {END: 1.0}})
    assert beam_search(step, starts(1), END, PAD, 2, 3, 6.0).ids_BL.tolist() == [[4, END]]


def test_padding_may_be_the_end_token() -> None:
    model, vectors = Recurrent(12), items(20)
    apart = beam_search(model.start(vectors), starts(20), END, END, 3, 9)
    assert apart.ids_BL.shape[1] == int((apart.ids_BL == END).int().argmax(1).max()) + 1


def test_no_item_no_string() -> None:
    assert beam_search(Recurrent(5).start(items(0)), starts(0), END, PAD).ids_BL.shape == (0, 0)


def test_what_search_refuses() -> None:
    step = Recurrent(6).start(items(2))
    for options in (dict(beams=0), dict(max_length=0), dict(max_length=3, min_length=3), dict(min_length=-1)):
        with pytest.raises(ValueError, match='min_length < max_length'):
            beam_search(step, starts(2), END, PAD, **options)
    with pytest.raises(ValueError, match='a token at least'):
        beam_search(step, torch.zeros(2, 0, dtype=torch.long), END, PAD)
    with pytest.raises(ValueError, match='NaN'):
        beam_search(lambda new, parents: torch.full((2, 1, 6), torch.nan), starts(2), END, PAD)


@pytest.mark.parametrize(('at_once', 'tokens'), [(64, 2048), (1, 1), (3, 5)])
def test_likelihoods_equal_a_loop(at_once: int, tokens: int) -> None:
    model, vectors = Recurrent(9), items(3)
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 6, (3, 7), generator=generator)
    ids = torch.randint(2, 9, (3, 7, 5), generator=generator)
    mask = torch.arange(5) < lengths[..., None]

    def states(ids_BcL: Tensor) -> Tensor:
        state, out = vectors[:, None].expand(-1, ids_BcL.shape[1], -1).flatten(0, 1), []
        for column in range(ids_BcL.shape[2]):
            state = model.cell(model.embedding(ids_BcL[..., column]).flatten(0, 1), state)
            out.append(state.view(*ids_BcL.shape[:2], 8))
        return torch.stack(out, 2)

    found = sequence_log_likelihood(states, model.out, ids, mask, at_once, tokens)
    for row in range(3):
        for column in range(7):
            first, *rest = ids[row, column, : lengths[row, column]].tolist()
            assert float(found[row, column].detach()) == pytest.approx(
                model.log_p(vectors[row], [first], tuple(rest)), abs=1e-4
            )
    found.sum().backward()
    assert model.embedding.weight.grad is not None
    assert sequence_log_likelihood(states, model.out, ids[:, :0], mask[:, :0]).shape == (3, 0)
