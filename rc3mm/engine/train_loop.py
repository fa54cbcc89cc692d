"""The training loop: by iterations, resumed without replaying data."""

from typing import Any

from mmengine.runner import IterBasedTrainLoop

from rc3mm.registry import LOOPS
from rc3mm.utils.frozen import frozen_objects
from rc3mm.utils.rng import preserved_rng, set_rng_state

__all__ = ['RC3TrainLoop']


@LOOPS.register_module()
class RC3TrainLoop(IterBasedTrainLoop):
    """Iterate over an endless loader whose sampler can start anywhere.

    The loader's sampler has an attribute `start`, the first iteration to serve (`MixedSourceSampler`), and is told the
    number of the loader's workers, if it has an attribute `workers`. Evaluation leaves the random generators untouched,
    so training goes on the same whether and when it is evaluated. Arguments are those of `IterBasedTrainLoop`.

    Raises:
        TypeError: the sampler cannot start at a given iteration.
    """

    def run(self) -> Any:
        """Train up to `max_iters`; the model is returned."""
        sampler = self.dataloader.sampler
        if not hasattr(sampler, 'start'):
            raise TypeError(
                f'{type(sampler).__name__} cannot start at a given iteration; use `MixedSourceSampler` in '
                '`train_dataloader.sampler`'
            )
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        sampler.start = self._iter
        if hasattr(sampler, 'workers'):
            sampler.workers = max(
                self.dataloader.num_workers, 1
            )  # whose parts of a stream are read by different workers
        if self._iter > 0 and self._validation_is_due():
            self._validate()  # the checkpoint was written before this evaluation could run
        with frozen_objects():
            batches = iter(self.dataloader)
        if self.runner.resumed_rng is not None:
            states = self.runner.resumed_rng
            set_rng_state(states[self.runner.rank % len(states)])
            self.runner.resumed_rng = None
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(batches))
            self._decide_current_val_interval()
            if self._validation_is_due():
                self._validate()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def _validation_is_due(self) -> bool:
        return (
            self.runner.val_loop is not None
            and self._iter >= self.val_begin
            and (self._iter % self.val_interval == 0 or self._iter == self._max_iters)
        )

    def _validate(self) -> None:
        with preserved_rng() as state, self.runner.strategy.whole(self.runner.model):
            self.runner.evaluation_rng = state
            try:
                self.runner.val_loop.run()
            finally:
                self.runner.evaluation_rng = None
