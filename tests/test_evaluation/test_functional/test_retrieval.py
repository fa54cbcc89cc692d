"""Laws and hand-worked cases of retrieval ranks, top-k, re-ranking and recall."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rc3mm.evaluation.functional import (
    Positives,
    mean_recall,
    pairwise_accuracy,
    positives_of_images,
    positives_of_texts,
    recall_at_k,
    rerank,
    retrieval_ranks,
    top_k,
)


def oracle_ranks(score_QC: np.ndarray, lists: list[list[int]]) -> list[int]:
    """Sort every row with wrong candidates before right ones of equal score; place of the first right one."""
    ranks = []
    for scores, right in zip(score_QC, lists, strict=True):
        order = sorted(range(len(scores)), key=lambda c: (-scores[c], c in right))
        ranks.append(1 + min(order.index(c) for c in right))
    return ranks


def unit(seed: int, rows: int, width: int = 16) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)), dim=1)


@st.composite
def problems(draw):
    """Small integer vectors, so that ties are common; one to three right candidates a query."""
    queries, candidates = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    seed = draw(st.integers(0, 10**6))
    rng = np.random.default_rng(seed)
    query = rng.integers(-2, 3, (queries, 3)).astype(np.float32)
    candidate = rng.integers(-2, 3, (candidates, 3)).astype(np.float32)
    lists = [rng.choice(candidates, rng.integers(1, min(3, candidates) + 1), replace=False).tolist() for _ in query]
    return query, candidate, lists


class TestPositives:
    def test_several_captions_an_image(self):
        owner_M = torch.tensor([2, 0, 2, 0, 1])
        assert [positives_of_texts(owner_M).row(m) for m in range(5)] == [[2], [0], [2], [0], [1]]
        query_Q, positives = positives_of_images(owner_M, num_images=3)
        assert query_Q.tolist() == [0, 1, 2]
        assert [positives.row(q) for q in range(3)] == [[1, 3], [4], [0, 2]]

    def test_image_without_text_is_no_query(self):
        query_Q, positives = positives_of_images(torch.tensor([3, 1, 3]), num_images=5)
        assert query_Q.tolist() == [1, 3]
        assert [positives.row(q) for q in range(2)] == [[1], [0, 2]]

    def test_repeated_index_counts_once(self):
        assert Positives.from_lists([[4, 1, 4]]).row(0) == [1, 4]

    @pytest.mark.parametrize('lists', [[[0], []], [[-1]]])
    def test_impossible_lists_raise(self, lists):
        with pytest.raises(ValueError, match='query'):
            Positives.from_lists(lists)

    def test_owner_out_of_range_raises(self):
        with pytest.raises(ValueError, match='outside'):
            positives_of_images(torch.tensor([0, 3]), num_images=3)
        with pytest.raises(ValueError, match='negative'):
            positives_of_texts(torch.tensor([-1]))


class TestRanks:
    def test_by_hand(self):
        # Scores of the one query: .9 .5 .7 .1
        candidate_CD = torch.tensor([[0.9], [0.5], [0.7], [0.1]])
        query_QD = torch.ones(4, 1)
        positives = Positives.from_lists([[0], [1], [3], [1, 2]])
        assert retrieval_ranks(query_QD, candidate_CD, positives).tolist() == [1, 3, 4, 2]

    def test_other_right_candidates_do_not_push_down(self):
        candidate_CD = torch.tensor([[0.9], [0.9], [0.9], [0.1]])
        positives = Positives.from_lists([[0, 1, 2], [0, 1]])
        assert retrieval_ranks(torch.ones(2, 1), candidate_CD, positives).tolist() == [1, 2]

    @settings(max_examples=150, deadline=None)
    @given(problems(), st.integers(1, 12), st.integers(1, 12))
    def test_matches_the_oracle_for_any_chunks_and_blocks(self, problem, chunk_size, block_size):
        query, candidate, lists = problem
        ranks = retrieval_ranks(
            torch.from_numpy(query), torch.from_numpy(candidate), Positives.from_lists(lists), chunk_size, block_size
        )
        assert ranks.tolist() == oracle_ranks(query @ candidate.T, lists)

    def test_matches_the_oracle_on_real_numbers(self):
        query_QD, candidate_CD = unit(0, 60), unit(1, 25)
        owner_M = torch.randint(0, 25, (60,), generator=torch.Generator().manual_seed(2))
        score = (query_QD.double() @ candidate_CD.double().T).numpy()
        t2i = retrieval_ranks(query_QD, candidate_CD, positives_of_texts(owner_M), chunk_size=7)
        assert t2i.tolist() == oracle_ranks(score, [[int(o)] for o in owner_M])
        image_Q, positives = positives_of_images(owner_M, 25)
        i2t = retrieval_ranks(candidate_CD[image_Q], query_QD, positives, chunk_size=4)
        assert i2t.tolist() == oracle_ranks(score.T[image_Q], [positives.row(q) for q in range(len(image_Q))])

    def test_order_of_queries_and_candidates_does_not_matter(self):
        query_QD, candidate_CD, owner_Q = unit(0, 40), unit(1, 30), torch.arange(40) % 30
        ranks = retrieval_ranks(query_QD, candidate_CD, positives_of_texts(owner_Q))
        shuffle_Q, shuffle_C = torch.randperm(40), torch.randperm(30)
        moved = retrieval_ranks(
            query_QD[shuffle_Q],
            candidate_CD[shuffle_C],
            positives_of_texts(torch.argsort(shuffle_C)[owner_Q[shuffle_Q]]),
        )
        assert torch.equal(moved, ranks[shuffle_Q])

    @pytest.mark.parametrize('rows', [1, 7, 333])
    def test_collapsed_embeddings_rank_last(self, rows):
        # An awkward width: sums in different places of the matrix round differently, ties must hold all the
        # same.
        same_QD = unit(3, 1, width=257).expand(rows, -1)
        for chunk_size, block_size in ((1, 512), (5, 3), (512, 100)):
            ranks = retrieval_ranks(same_QD, same_QD, positives_of_texts(torch.arange(rows)), chunk_size, block_size)
            assert ranks.tolist() == [rows] * rows

    def test_nan_ranks_last(self):
        query_QD = torch.tensor([[1.0], [float('nan')]])
        candidate_CD = torch.tensor([[1.0], [0.5], [float('nan')]])
        # A candidate that is NaN counts against the first query as well.
        assert retrieval_ranks(query_QD, candidate_CD, Positives.from_lists([[0], [0]])).tolist() == [2, 3]
        assert retrieval_ranks(query_QD[:1], candidate_CD, Positives.from_lists([[2]])).tolist() == [3]

    def test_half_precision_and_autocast_do_not_change_ranks(self):
        query_QD, candidate_CD = unit(0, 50).half(), unit(1, 50).half()
        positives = positives_of_texts(torch.arange(50))
        expected = retrieval_ranks(query_QD.double(), candidate_CD.double(), positives)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            assert torch.equal(retrieval_ranks(query_QD, candidate_CD, positives), expected)

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
    def test_cuda_agrees_with_the_cpu(self):
        query_QD, candidate_CD, positives = (
            unit(0, 90),
            unit(1, 70),
            positives_of_texts(torch.arange(90) % 70),
        )
        ranks = retrieval_ranks(query_QD, candidate_CD, positives)
        score_Qk, index_Qk = top_k(query_QD, candidate_CD, k=9)
        cuda = retrieval_ranks(query_QD.cuda(), candidate_CD.cuda(), positives, chunk_size=16)
        assert torch.equal(cuda.cpu(), ranks)
        assert torch.equal(top_k(query_QD.cuda(), candidate_CD.cuda(), k=9)[1].cpu(), index_Qk)
        again = rerank(index_Qk.cuda(), -score_Qk.cuda(), positives, cuda)
        assert torch.equal(again.cpu(), rerank(index_Qk, -score_Qk, positives, ranks))

    def test_no_queries(self):
        assert retrieval_ranks(torch.zeros(0, 2), torch.zeros(3, 2), Positives.from_lists([])).shape == (0,)

    @pytest.mark.parametrize(
        ('query', 'candidate', 'lists', 'chunk'),
        [
            ((2, 3), (2, 4), [[0], [0]], 1),
            ((2, 3), (2, 3), [[0]], 1),
            ((1, 3), (2, 3), [[2]], 1),
            ((1, 3), (0, 3), [[0]], 1),
            ((1, 3), (2, 3), [[0]], 0),
        ],
    )
    def test_bad_arguments_raise(self, query, candidate, lists, chunk):
        with pytest.raises(ValueError):
            retrieval_ranks(torch.zeros(query), torch.zeros(candidate), Positives.from_lists(lists), chunk)


class TestTopK:
    @settings(max_examples=150, deadline=None)
    @given(problems(), st.integers(1, 12), st.integers(1, 12), st.integers(1, 12))
    def test_matches_a_stable_sort(self, problem, k, chunk_size, block_size):
        query, candidate, _ = problem
        score, index = top_k(torch.from_numpy(query), torch.from_numpy(candidate), k, chunk_size, block_size)
        full = query @ candidate.T
        expected = np.argsort(-full, axis=1, kind='stable')[:, :k]
        assert index.tolist() == expected.tolist()
        assert score.tolist() == np.take_along_axis(full, expected, axis=1).tolist()

    @pytest.mark.parametrize('k', [1, 10, 60])
    def test_a_first_look_in_float32_loses_nothing(self, k):
        """Among candidates closer to each other than float32 can tell, and copies of them."""
        query_QD, base_CD = unit(0, 20), unit(1, 100)
        near_CD = base_CD.double() + 1e-8 * torch.randn(100, 16, generator=torch.Generator().manual_seed(2)).double()
        candidate_CD = torch.cat([base_CD.double(), near_CD, base_CD.double().flip(0)])
        expected = top_k(query_QD, candidate_CD, k)
        for block_size in (40, 150, 299):
            score_Qk, index_Qk = top_k(query_QD, candidate_CD, k, chunk_size=7, block_size=block_size)
            assert torch.equal(index_Qk, expected[1]) and torch.equal(score_Qk, expected[0])

    def test_far_candidates_are_not_scored_in_float64(self, monkeypatch):
        from rc3mm.evaluation.functional import retrieval

        exact = retrieval._exact_top_k
        asked = []
        monkeypatch.setattr(retrieval, '_exact_top_k', lambda *given: asked.append(len(given[0])) or exact(*given))
        query_QD, candidate_CD = unit(0, 50, width=64), unit(1, 3000, width=64)
        found = top_k(query_QD, candidate_CD, 10, block_size=500)
        assert asked == []
        expected = top_k(query_QD, candidate_CD, 10)
        assert asked == [50] and torch.equal(found[1], expected[1])
        torch.testing.assert_close(found[0], expected[0], rtol=0, atol=1e-9)

    @pytest.mark.parametrize('block_size', [17, 65_536])
    def test_ties_keep_the_lower_index(self, block_size):
        same_ND = unit(3, 1, width=257).expand(100, -1)
        _, index_Qk = top_k(same_ND, same_ND, k=4, block_size=block_size)
        assert index_Qk.tolist() == [[0, 1, 2, 3]] * 100

    def test_nan_is_last(self):
        candidate_CD = torch.tensor([[float('nan')], [0.1], [0.2]])
        for block_size in (1, 2, 3):
            assert top_k(torch.ones(1, 1), candidate_CD, k=3, block_size=block_size)[1].tolist() == [[2, 1, 0]]

    def test_bad_k_raises(self):
        with pytest.raises(ValueError, match='k must'):
            top_k(torch.zeros(1, 2), torch.zeros(1, 2), k=0)


class TestRerank:
    def setup_method(self):
        self.query_QD, self.candidate_CD = unit(0, 80), unit(1, 50)
        self.positives = Positives.from_lists([[q % 50, (q * 7 + 3) % 50] for q in range(80)])
        self.rank_Q = retrieval_ranks(self.query_QD, self.candidate_CD, self.positives)
        _, self.index_Qk = top_k(self.query_QD, self.candidate_CD, k=8)

    def test_by_hand(self):
        index_Qk = torch.tensor([[4, 2, 0], [4, 2, 0], [1, 3, 5], [1, 3, 5]])
        itm_Qk = torch.tensor([[0.1, 0.2, 0.9], [0.1, 0.2, 0.9], [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]])
        positives = Positives.from_lists([[0], [4, 2], [3], [0]])
        rank_Q = torch.tensor([3, 1, 2, 6])
        assert rerank(index_Qk, itm_Qk, positives, rank_Q).tolist() == [1, 2, 2, 6]

    def test_outside_of_the_top_k_nothing_changes(self):
        itm_Qk = torch.randn(80, 8, generator=torch.Generator().manual_seed(5))
        ranks = rerank(self.index_Qk, itm_Qk, self.positives, self.rank_Q)
        outside_Q = self.rank_Q > 8
        assert 0 < outside_Q.sum() < 80
        assert torch.equal(ranks[outside_Q], self.rank_Q[outside_Q])
        assert (ranks[~outside_Q] <= 8).all()

    def test_perfect_itm_turns_recall_at_k_into_recall_at_1(self):
        right_Qk = torch.tensor(
            [[c in self.positives.row(q) for c in row] for q, row in enumerate(self.index_Qk.tolist())]
        )
        ranks = rerank(self.index_Qk, right_Qk.float(), self.positives, self.rank_Q)
        assert recall_at_k(ranks)['R@1'] == recall_at_k(self.rank_Q, [8])['R@8']

    @pytest.mark.parametrize('value', [0.3, float('nan'), -100.0])
    def test_itm_without_an_opinion_keeps_the_bi_encoder(self, value):
        ranks = rerank(self.index_Qk, torch.full((80, 8), value), self.positives, self.rank_Q)
        assert torch.equal(ranks, self.rank_Q)

    def test_itm_equal_to_the_bi_encoder_changes_nothing(self):
        score_Qk, index_Qk = top_k(self.query_QD, self.candidate_CD, k=50)
        assert torch.equal(rerank(index_Qk, score_Qk, self.positives, self.rank_Q), self.rank_Q)

    def test_full_k_equals_ranks_by_itm(self):
        itm_QC = torch.randn(80, 50, generator=torch.Generator().manual_seed(6))
        _, index_QC = top_k(self.query_QD, self.candidate_CD, k=50)
        ranks = rerank(index_QC, itm_QC.gather(1, index_QC), self.positives, self.rank_Q)
        assert ranks.tolist() == oracle_ranks(itm_QC.numpy(), [self.positives.row(q) for q in range(80)])

    def test_bad_shapes_raise(self):
        with pytest.raises(ValueError, match='shapes'):
            rerank(self.index_Qk, torch.zeros(80, 7), self.positives, self.rank_Q)
        with pytest.raises(ValueError, match='rows'):
            rerank(self.index_Qk, torch.zeros(80, 8), Positives.from_lists([[0]]), self.rank_Q)


class TestNumbers:
    def test_recall_by_hand(self):
        assert recall_at_k(torch.tensor([1, 2, 6, 11])) == {'R@1': 25.0, 'R@5': 50.0, 'R@10': 75.0}
        assert recall_at_k([3], ks=(3, 2)) == {'R@3': 100.0, 'R@2': 0.0}

    @given(st.lists(st.integers(1, 40), min_size=1))
    def test_recall_grows_with_k(self, ranks):
        recalls = list(recall_at_k(ranks, ks=range(1, 41)).values())
        assert recalls == sorted(recalls)
        assert recalls[-1] == 100.0

    def test_mean_recall(self):
        assert mean_recall({'R@1': 10.0, 'R@5': 20.0}, {'R@1': 30.0, 'R@5': 40.0}) == 25.0

    @pytest.mark.parametrize('ranks', [[], [0, 1]])
    def test_impossible_ranks_raise(self, ranks):
        with pytest.raises(ValueError, match='rank'):
            recall_at_k(ranks)

    def test_pairwise_accuracy(self):
        assert pairwise_accuracy([0.9, 0.1, 0.5, float('nan')], [0.1, 0.9, 0.5, 0.0]) == 37.5
        # A representation that ignores its text gives the same score to both.
        assert pairwise_accuracy(torch.ones(5), torch.ones(5)) == 50.0
        with pytest.raises(ValueError, match='non-empty'):
            pairwise_accuracy([], [])
        with pytest.raises(ValueError, match='equal'):
            pairwise_accuracy([1.0], [1.0, 2.0])
