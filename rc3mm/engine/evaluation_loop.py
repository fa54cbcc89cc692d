"""What the evaluation loops of rc3mm have in common: hooks, eval mode, autocast, and rows handed to the evaluator."""

import logging
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from mmengine.evaluator import Evaluator
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop

from rc3mm.structures import VisualForm

__all__ = ['EvaluationLoop']


class EvaluationLoop(BaseLoop):
    """Serves as validation and as test loop; a subclass gives `rows`.

    Args:
        runner: the runner.
        dataloader: loader of the test set, with `EvalSampler` so that each item is seen once.
        evaluator: metrics that take the rows.
        form: visual form, or None for the model's own `test_form`.
        setting: the name under which tables report the numbers.
        bf16: evaluate under bfloat16 autocast.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: Any,
        evaluator: Evaluator | dict | list,
        form: str | None = None,
        setting: str = 'zero-shot',
        bf16: bool = False,
    ) -> None:
        super().__init__(runner, dataloader)
        self.evaluator = evaluator if isinstance(evaluator, Evaluator) else runner.build_evaluator(evaluator)
        self.evaluator.dataset_meta = self.metainfo
        self.form = VisualForm(form) if form else None
        self.setting = setting
        self.bf16 = bf16

    @property
    def metainfo(self) -> dict[str, Any]:
        """The dataset's metainfo."""
        return dict(getattr(self.dataloader.dataset, 'metainfo', {}))

    @property
    def model(self) -> Any:
        """The model, unwrapped."""
        model = self.runner.model
        return model.module if is_model_wrapper(model) else model

    @property
    def num_items(self) -> int:
        """Length of the dataset."""
        return len(self.dataloader.dataset)

    @property
    def phase(self) -> str:
        """`val`, or `test` if this is the runner's test loop or a part of it."""
        return 'val' if self.runner._val_loop is self else 'test'

    @abstractmethod
    def rows(self, form: VisualForm) -> Iterator[list[dict[str, Any]]]:
        """Rows of this rank for the metrics, a list at a time; called in eval mode, without gradient."""

    def run(self) -> dict[str, float]:
        """Evaluate; the metrics are returned and handed to the hooks."""
        phase = self.phase
        self.runner.call_hook(f'before_{phase}')
        self.runner.call_hook(f'before_{phase}_epoch')
        metrics = self.evaluate()
        self.runner.call_hook(f'after_{phase}_epoch', metrics=metrics)
        self.runner.call_hook(f'after_{phase}')
        return metrics

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """The metrics."""
        training = self.model.training
        self.model.eval()
        device = next(self.model.parameters()).device
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.bf16):
            for rows in self.rows(self.form or self.model.test_form):
                self.evaluator.process(data_samples=rows)
        self.model.train(training)
        return self.evaluator.evaluate(self.num_items)

    def batches(self, loader: Iterable[Any]) -> Iterator[tuple[dict[str, Any], list[Any]]]:
        """Inputs and data samples of a loader's batches, on the device; hooks are called around each."""
        for number, batch in enumerate(loader):
            self.runner.call_hook(f'before_{self.phase}_iter', batch_idx=number, data_batch=batch)
            data = self.model.data_preprocessor(batch)
            yield data['inputs'], data['data_samples']
            self.runner.call_hook(
                f'after_{self.phase}_iter', batch_idx=number, data_batch=batch, outputs=data['data_samples']
            )

    @staticmethod
    def log(message: str) -> None:
        """A line of progress."""
        print_log(message, logger='current', level=logging.INFO)
