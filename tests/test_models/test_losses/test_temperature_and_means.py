"""The learnable temperature and the running means."""

import pytest
import torch

from rc3mm.models.losses import ProximityMeans, Temperature


def test_temperature_starts_where_told_and_stays_in_range() -> None:
    temperature = Temperature(init=0.07, minimum=0.001, maximum=0.5)
    assert float(temperature().detach()) == pytest.approx(0.07)
    for wanted, bound in ((-100.0, 0.001), (100.0, 0.5)):
        with torch.no_grad():
            temperature.log_tau.fill_(wanted)
        assert float(temperature().detach()) == pytest.approx(bound)


def test_temperature_comes_back_from_the_clamp() -> None:
    temperature = Temperature()
    with torch.no_grad():
        temperature.log_tau.fill_(100.0)
    temperature().backward()
    assert temperature.log_tau.grad is not None and float(temperature.log_tau.grad) > 0


def test_temperature_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match='not inside'):
        Temperature(init=0.9)


def test_first_update_is_taken_whole_and_later_ones_are_averaged() -> None:
    means = ProximityMeans(momentum=0.9)
    means.update(torch.tensor(0.8), torch.tensor(0.2))
    assert float(means.s_pos) == pytest.approx(0.8)
    means.update(torch.tensor(0.6), torch.tensor(0.4))
    assert float(means.s_pos) == pytest.approx(0.78)
    assert float(means.s_neg) == pytest.approx(0.22)
    assert int(means.updates) == 2


def test_means_are_saved_with_the_model() -> None:
    assert set(ProximityMeans().state_dict()) == {'s_pos', 's_neg', 'updates'}
