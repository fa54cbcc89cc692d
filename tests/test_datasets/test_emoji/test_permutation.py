"""Laws of the keyed permutation and of the ranking of combinations."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rc3mm.datasets.emoji.combinations import SceneSets, SetsOfSize, rank_of, unrank
from rc3mm.datasets.permutation import FeistelPermutation


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700), st.integers(0, 2**70))
def test_is_a_bijection(n: int, key: int) -> None:
    permutation = FeistelPermutation(n, (key,))
    images = [permutation(i) for i in range(n)]
    assert sorted(images) == list(range(n))
    assert [permutation.inverse(image) for image in images] == list(range(n))
    assert permutation.apply(np.arange(n)).tolist() == images


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 2**80), st.integers(0, 9), st.data())
def test_inverse_undoes_large_ranges(n: int, key: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, n - 1))
    permutation = FeistelPermutation(n, (key,))
    assert 0 <= permutation(index) < n
    assert permutation.inverse(permutation(index)) == index


def test_arrays_agree_with_single_indices_on_large_ranges() -> None:
    permutation = FeistelPermutation(10**18 + 9, (3, 4))
    indices = np.array([0, 1, 10**9, 10**17, 10**18 + 8])
    assert permutation.apply(indices).tolist() == [permutation(int(i)) for i in indices]


def test_keys_give_different_orders_that_look_random() -> None:
    a, b = (FeistelPermutation(1000, (key,)).apply(np.arange(1000)) for key in (0, 1))
    assert (a == b).mean() < 0.02
    assert abs(np.corrcoef(np.arange(1000), a)[0, 1]) < 0.1


def test_permutation_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match='n >= 1'):
        FeistelPermutation(0)
    with pytest.raises(IndexError):
        FeistelPermutation(5)(5)
    with pytest.raises(IndexError):
        FeistelPermutation(5).apply(np.array([0, 5]))
    with pytest.raises(ValueError, match='single indices'):
        FeistelPermutation(2**63).apply(np.array([0]))


@pytest.mark.parametrize(('n', 'k'), [(7, 1), (7, 3), (8, 8), (9, 4)])
def test_unrank_lists_every_set_once(n: int, k: int) -> None:
    sets = [unrank(rank, n, k) for rank in range(comb(n, k))]
    assert set(sets) == set(combinations(range(n), k))
    assert [rank_of(members) for members in sets] == list(range(comb(n, k)))


def test_split_of_agrees_with_what_the_splits_contain() -> None:
    sets = SetsOfSize(12, 3, split_seed=5)
    seen = []
    for split in ('val', 'test', 'train'):
        members = [sets.member(split, i) for i in range(sets.available(split))]
        assert {sets.split_of(m) for m in members} == {split}
        seen += members
    assert sorted(seen) == sorted(combinations(range(12), 3))


@pytest.mark.parametrize('sizes', [(2,), (2, 3), (1, 2, 2, 3), (3, 2, 3, 3)])
def test_num_distinct_is_exact(sizes: tuple[int, ...]) -> None:
    sets = SceneSets(20, 'test', sizes)
    most = sets.num_distinct()
    members = [sets[i] for i in range(most)]
    assert len(set(members)) == most
    assert all(len(m) == sizes[i % len(sizes)] for i, m in enumerate(members))
    assert sets[most] in members


def test_no_set_is_shared_by_splits_whatever_the_seed() -> None:
    held_out = set()
    for split in ('val', 'test'):
        sets = SceneSets(30, split, (2, 3), seed=1)
        mine = {sets[i] for i in range(sets.num_distinct())}
        assert not mine & held_out
        held_out |= mine
    for seed in (0, 1, 2):
        train = SceneSets(30, 'train', (1, 2, 3), seed=seed)
        assert not held_out & {train[i] for i in range(20_000)}


def test_concept_limit_keeps_the_cut() -> None:
    limited = SceneSets(30, 'train', (2, 3), concept_limit=12)
    sets = {limited[i] for i in range(2000)}
    assert max(max(m) for m in sets) == 11
    cuts = {k: SetsOfSize(30, k, 0) for k in (2, 3)}
    assert {cuts[len(m)].split_of(m) for m in sets} == {'train'}
    with pytest.raises(ValueError, match='concept_limit 3 must leave more than 3'):
        SceneSets(30, 'train', (2, 3), concept_limit=3)


def test_a_part_of_the_concepts_in_val_and_test() -> None:
    cuts = {k: SetsOfSize(30, k, 0) for k in (2, 3)}
    seen = {}
    for split in ('val', 'test'):
        part = SceneSets(30, split, (2, 3), concept_start=18)
        listed = [part[i] for i in range(8)]
        assert listed == [SceneSets(30, split, (2, 3), concept_start=18)[i] for i in range(8)]
        assert len(set(listed)) == 8, 'a set came twice'
        assert min(min(m) for m in listed) >= 18 and [len(m) for m in listed] == [2, 3] * 4
        assert {cuts[len(m)].split_of(m) for m in listed} == {split}
        seen[split] = set(listed)
    assert not seen['val'] & seen['test']
    style = SceneSets(30, 'test_style', (2, 3), concept_start=18)
    assert {style[i] for i in range(8)} == seen['test']
    # what there is at all: every test set of two concepts of the part, no more
    pairs = SceneSets(30, 'test', (2,), concept_start=18)
    count = sum(cuts[2].split_of((a, b)) == 'test' for b in range(18, 30) for a in range(18, b))
    assert len({pairs[i] for i in range(count)}) == count
    with pytest.raises(ValueError, match=f'has only {count} scenes of 2 of the concepts 18 to 29'):
        pairs[count]
