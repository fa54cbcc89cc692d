"""What is set apart is taken up again; that workers copy less is shown in test_datasets/test_worker_memory.py."""

import gc

import pytest

from rc3mm.utils.frozen import frozen_objects


def test_objects_are_set_apart_within_the_block_alone() -> None:
    assert gc.get_freeze_count() == 0
    with pytest.raises(RuntimeError, match='no worker'), frozen_objects():
        assert gc.get_freeze_count() > 0
        raise RuntimeError('no worker')
    assert gc.get_freeze_count() == 0
