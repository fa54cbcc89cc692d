"""Several evaluations of one checkpoint in one run, each with its own data, loop and metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.runner import BaseLoop, Runner

from rc3mm.engine.evaluation_loop import EvaluationLoop
from rc3mm.evaluation.functional.languages import PIVOT
from rc3mm.evaluation.functional.parts import mean_over_parts
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
        means: name -> parts, for what papers report as a mean over parts, such as folds: each metric `x` that all of
            these parts have is also given as `name/x`, its mean over them; counts have none. The parts have the same
            languages, or one each that is not English: then the mean of the metrics' means over languages is one, too.

    Raises:
        ValueError: loops, loaders and evaluators do not name the same parts, or a mean cannot be formed.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: Mapping[str, dict],
        evaluator: Mapping[str, Any],
        parts: Mapping[str, dict],
        form: str | None = None,
        setting: str = 'zero-shot',
        means: Mapping[str, Sequence[str]] | None = None,
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
        self.means = {name: tuple(chosen) for name, chosen in (means or {}).items()}
        for name in self.means:
            self._check_mean(name)
        self._current = next(iter(self.parts.values()))

    def _check_mean(self, name: str) -> None:
        """Refuse what would fail, or mean nothing, after hours of evaluation."""
        chosen, place = self.means[name], f'test_cfg.means[{name!r}]'
        if name in self.parts:
            raise ValueError(f'{place} has the name of a part; choose another')
        if unknown := [part for part in chosen if part not in self.parts]:
            raise ValueError(f'{place} names {unknown}, but the parts are {list(self.parts)}')
        if not chosen or len(set(chosen)) < len(chosen):
            raise ValueError(f'{place} must name parts, each once; got {list(chosen)}')
        loops = [self.parts[part] for part in chosen]
        if not set.intersection(*({metric.prefix for metric in loop.evaluator.metrics} for loop in loops)):
            raise ValueError(f'{place}: the parts {list(chosen)} share no metric')
        languages = {
            part: set(loop.metainfo['languages']) - {PIVOT}
            for part, loop in zip(chosen, loops, strict=True)
            if 'languages' in loop.metainfo
        }
        equal = len(set(map(frozenset, languages.values()))) <= 1
        if not equal and any(len(own) != 1 for own in languages.values()):
            told = '; '.join(f'{part}: {" ".join(sorted(own)) or "none"}' for part, own in languages.items())
            raise ValueError(
                f'{place}: the mean over these parts would be no mean over languages; name parts that have the same '
                f'languages beside English, or one each. They have {told}'
            )

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
        found: dict[str, dict[str, float]] = {}
        for number, (name, part) in enumerate(self.parts.items(), start=1):
            part.log(f'{phase}: {name}, part {number} of {len(self.parts)}')
            self._current = part
            found[name] = part.evaluate()
            metrics |= {f'{name}/{key}': value for key, value in found[name].items()}
        for name, chosen in self.means.items():
            mean = mean_over_parts([found[part] for part in chosen])
            if not mean:
                raise ValueError(f'test_cfg.means[{name!r}]: the parts {list(chosen)} share no metric')
            metrics |= {f'{name}/{key}': value for key, value in mean.items()}
        self.runner.call_hook(f'after_{phase}_epoch', metrics=metrics)
        self.runner.call_hook(f'after_{phase}')
        return metrics
