"""Several evaluations of one checkpoint in one run, each with its own data, loop and metrics."""

from collections.abc import Mapping
from typing import Any

from mmengine.runner import BaseLoop, Runner

from rc3mm.engine.evaluation_loop import EvaluationLoop
from rc3mm.registry import LOOPS

__all__ = ['EvaluationSuite']


@LOOPS.register_module()
class EvaluationSuite(BaseLoop):
    """Named evaluations, run one after the other; a metric `x` of the part `known` is called `known/x`.

    Args:
        runner: the runner.
        dataloader: name -> config of a loader.
        evaluator: name -> metrics.
        parts: name -> config of an `EvaluationLoop`; the names are those of the other two.
        form: visual form of all parts, or None for what each says itself.
        setting: the name under which the results are filed.

    Raises:
        ValueError: the three do not name the same parts.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: Mapping[str, dict],
        evaluator: Mapping[str, Any],
        parts: Mapping[str, dict],
        form: str | None = None,
        setting: str = 'zero-shot',
    ) -> None:
        if not parts or not set(dataloader) == set(evaluator) == set(parts):
            raise ValueError(
                f'an EvaluationSuite needs a loop, a loader and an evaluator for each part; test_cfg.parts names '
                f'{sorted(parts)}, test_dataloader {sorted(dataloader)}, test_evaluator {sorted(evaluator)}'
            )
        self._runner = runner
        self.parts: dict[str, EvaluationLoop] = {}
        for name, config in parts.items():
            loader = Runner.build_dataloader(dataloader[name], seed=runner.seed)
            config = {**config, **({'form': form} if form else {})}
            # the registry's default arguments, as the runner's own loops get them
            built = {'runner': runner, 'dataloader': loader, 'evaluator': runner.build_evaluator(evaluator[name])}
            self.parts[name] = LOOPS.build(config, default_args=built)
        self.form, self.setting = form, setting
        self._current = next(iter(self.parts.values()))

    @property
    def dataloader(self) -> Any:
        """The loader of the part that runs, or ran last; hooks ask for it."""
        return self._current.dataloader

    @property
    def metainfo(self) -> dict[str, Any]:
        """That of the first part; the split is the same for all by good custom."""
        return next(iter(self.parts.values())).metainfo

    @property
    def num_items(self) -> int:
        """Items of all parts."""
        return sum(part.num_items for part in self.parts.values())

    def run(self) -> dict[str, float]:
        """Evaluate all parts; the metrics are returned and handed to the hooks."""
        phase = 'val' if self.runner._val_loop is self else 'test'
        self.runner.call_hook(f'before_{phase}')
        self.runner.call_hook(f'before_{phase}_epoch')
        metrics: dict[str, float] = {}
        for number, (name, part) in enumerate(self.parts.items(), start=1):
            part.log(f'{phase}: {name}, part {number} of {len(self.parts)}')
            self._current = part
            metrics |= {f'{name}/{key}': value for key, value in part.evaluate().items()}
        self.runner.call_hook(f'after_{phase}_epoch', metrics=metrics)
        self.runner.call_hook(f'after_{phase}')
        return metrics
