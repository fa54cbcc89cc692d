"""Objectives that take part in a share of the steps."""

from typing import Any

from rc3mm.models.objectives import ITC


def test_the_share_is_kept_and_drawn_by_the_step_seed() -> None:
    objective = ITC(probability=0.25)
    drawn = [objective.runs_at('strict', seed, 'itc') for seed in range(4000)]
    assert 0.22 < sum(drawn) / 4000 < 0.28
    assert drawn == [objective.runs_at('strict', seed, 'itc') for seed in range(4000)]
    other = [objective.runs_at('strict', seed, 'itm') for seed in range(4000)]
    assert 0.03 < sum(a and b for a, b in zip(drawn, other, strict=True)) / 4000 < 0.1  # independent of each other
    assert not any(objective.runs_at('parallel', seed, 'itc') for seed in range(100))


def test_a_step_is_never_left_without_any_objective(rc3: Any, batch: Any) -> None:
    model = rc3(dict(itc=dict(type='ITC', probability=0.01), itm=dict(type='ITM', width=32, probability=0.01)))
    data = batch('strict')
    for seed in range(10):
        data['inputs']['step_seed'] = seed
        losses = model(**model.data_preprocessor({**data, 'inputs': dict(data['inputs'])}, True), mode='loss')
        assert any(name.startswith('loss_') for name in losses)
