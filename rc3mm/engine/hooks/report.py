"""What a run leaves for people: a table on the screen, results.json, a loss plot and a gallery."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.console import Console
from rich.table import Table

from rc3mm.engine.evaluation_suite import EvaluationSuite
from rc3mm.engine.prediction_loop import PredictionLoop
from rc3mm.engine.retrieval_loop import RetrievalLoop
from rc3mm.evaluation.metrics import PerItemMetric, RetrievalMetric
from rc3mm.registry import HOOKS
from rc3mm.utils.results import write_results
from rc3mm.visualization import (
    CaptionedImage,
    GalleryRow,
    draw_captions,
    draw_gallery,
    headlines_table,
    languages_markdown,
    languages_table,
    metrics_markdown,
    metrics_table,
    plot_losses,
)

__all__ = ['ReportHook']


@HOOKS.register_module()
class ReportHook(Hook):
    """Report on the main process: losses when training ends, everything else when a test ends.

    Files in the work directory: `losses.png`, `results.json`, `results.md` and `gallery.png`.

    Args:
        gallery_rows: text queries shown a language; image queries are as many in all. 0 draws no gallery.
        out_item: write one JSON line a query to this file, or None.
        show_dir: where pictures go; None for the work directory.
    """

    priority = 'VERY_LOW'

    def __init__(self, gallery_rows: int = 1, out_item: str | None = None, show_dir: str | None = None) -> None:
        self.gallery_rows = gallery_rows
        self.out_item = out_item
        self.show_dir = show_dir
        self.timings: dict[str, float] = {}
        self._started: dict[str, float] = {}

    def before_train(self, runner: Runner) -> None:
        """Start the clock."""
        self._started['train'] = time.perf_counter()

    def after_train(self, runner: Runner) -> None:
        """Draw the losses."""
        self.timings['train_seconds'] = time.perf_counter() - self._started['train']
        if runner.rank == 0:
            history = read_history(Path(runner.work_dir))
            if history:
                path = self._folder(runner) / 'losses.png'
                plot_losses(history, path, title=runner.experiment_name.rsplit('_', 2)[0])
                runner.logger.info(f'losses: {path}')

    def before_test(self, runner: Runner) -> None:
        """Start the clock."""
        self._started['test'] = time.perf_counter()

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Print and write the results."""
        self.timings['test_seconds'] = time.perf_counter() - self._started['test']
        if runner.rank != 0 or not metrics:
            return
        loop = runner.test_loop
        facts: dict[str, Any] = {
            'setting': getattr(loop, 'setting', 'test'),
            'split': str(getattr(loop, 'metainfo', {}).get('split', 'test')),
            'num_items': getattr(loop, 'num_items', None) or len(loop.dataloader.dataset),
        }
        work_dir = Path(runner.work_dir)
        trained = 'train' in self._started  # then the weights are the last ones, whatever training began with
        checkpoint = runner.message_hub.runtime_info.get('last_ckpt') if trained else runner._load_from
        extra = {'checkpoint': checkpoint, 'form': str(getattr(loop, 'form', None) or runner_form(runner))}
        write_results(
            work_dir / 'results.json',
            metrics,
            config_text=runner.cfg.pretty_text,
            seed=runner.seed,
            timings=self.timings,
            extra=extra,
            **facts,
        )
        runner.logger.info(f'results: {work_dir / "results.json"}')
        if isinstance(loop, RetrievalLoop):
            self._report_retrieval(runner, loop, metrics, facts)
        elif isinstance(loop, EvaluationSuite):
            self._report_suite(runner, loop, metrics, facts)
        elif isinstance(loop, PredictionLoop):
            self._report_predictions(runner, loop, metrics, facts)
        else:
            print_table(headlines_table(metrics, f'{facts["setting"]}, split {facts["split"]}'))

    def _report_suite(
        self, runner: Runner, loop: EvaluationSuite, metrics: dict[str, float], facts: dict[str, Any]
    ) -> None:
        documents = []
        for name, part in loop.parts.items():
            prefix = f'{name}/'
            own = {key.removeprefix(prefix): value for key, value in metrics.items() if key.startswith(prefix)}
            about = {**facts, 'setting': f'{name}, {part.setting}', 'num_items': part.num_items}
            if isinstance(part, RetrievalLoop):
                print_table(metrics_table(own, **about))
                documents.append(metrics_markdown(own, **about))
            else:
                print_table(headlines_table(own, f'{about["setting"]}, split {facts["split"]}'))
        (Path(runner.work_dir) / 'results.md').write_text('\n'.join(documents), encoding='utf-8')

    def _folder(self, runner: Runner) -> Path:
        return Path(self.show_dir or runner.work_dir)

    def _report_predictions(
        self, runner: Runner, loop: PredictionLoop, metrics: dict[str, float], facts: dict[str, Any]
    ) -> None:
        items = [item for m in loop.evaluator.metrics if isinstance(m, PerItemMetric) for item in m.items]
        self._write_items(items)
        title = f'{facts["setting"]}, split {facts["split"]}'
        if self.gallery_rows and items:
            path = self._folder(runner) / 'gallery.png'
            draw_captions(prediction_rows(items, loop.dataloader.dataset, self.gallery_rows), path, title)
            runner.logger.info(f'gallery: {path}')
        (Path(runner.work_dir) / 'results.md').write_text(languages_markdown(metrics, title), encoding='utf-8')
        print_table(languages_table(metrics, title))

    def _write_items(self, items: Sequence[dict[str, Any]]) -> None:
        if self.out_item:
            lines = (json.dumps(item, ensure_ascii=False) for item in items)
            Path(self.out_item).parent.mkdir(parents=True, exist_ok=True)
            Path(self.out_item).write_text('\n'.join(lines) + '\n', encoding='utf-8')

    def _report_retrieval(
        self, runner: Runner, loop: RetrievalLoop, metrics: dict[str, float], facts: dict[str, Any]
    ) -> None:
        items = [item for m in loop.evaluator.metrics if isinstance(m, RetrievalMetric) for item in m.items]
        self._write_items(items)
        if self.gallery_rows:
            path = self._folder(runner) / 'gallery.png'
            rows = gallery_rows(items, loop.dataloader.dataset, self.gallery_rows)
            draw_gallery(rows, path, title=f'{facts["setting"]}, split {facts["split"]}')
            runner.logger.info(f'gallery: {path}')
        (Path(runner.work_dir) / 'results.md').write_text(metrics_markdown(metrics, **facts), encoding='utf-8')
        print_table(metrics_table(metrics, **facts))
        shortcut = metrics.get('shortcut/mean_accuracy')
        if shortcut is not None:
            print(f'shortcut accuracy (telling z(i, t_i) from z(i, t_j); 50 = text ignored): {shortcut:.1f} %')


def print_table(table: Table) -> None:
    """Print a table; a file or a pipe has no width, and numbers must not be cut there."""
    console = Console()
    if not console.is_terminal:
        unlimited = console.options.update(max_width=1000)
        console.width = max(console.width, console.measure(table, options=unlimited).maximum)
    console.print(table)


def runner_form(runner: Runner) -> str:
    """The model's own test form."""
    model = getattr(runner.model, 'module', runner.model)
    return str(getattr(model, 'test_form', ''))


def read_history(work_dir: Path) -> dict[str, list[tuple[int, float]]]:
    """Logged scalars of all runs in a work directory, resumed ones joined (the later run wins), by name.

    Of an evaluation the headlines; single languages (`retrieval/de/...`) are left to the result files.
    """
    points: dict[str, dict[int, float]] = {}
    for file in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in file.read_text(encoding='utf-8').splitlines():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue  # a line cut short by a kill
            step = record.pop('step', record.pop('iter', None))
            for name, value in record.items():
                if isinstance(value, int | float) and step is not None and name.count('/') < 2:
                    points.setdefault(name, {})[int(step)] = float(value)
    return {name: sorted(by_step.items()) for name, by_step in points.items()}


def gallery_rows(items: Sequence[dict[str, Any]], dataset: Any, per_language: int) -> list[GalleryRow]:
    """Choose queries for the gallery: evenly spread ones, not the best ones.

    Args:
        items: rows of `RetrievalMetric`.
        dataset: gives the images by `get_sample`.
        per_language: text queries a language; as many image queries in all as there are languages.
    """
    rows: list[GalleryRow] = []
    languages = list(dict.fromkeys(item['language'] for item in items))
    for place, language in enumerate(languages):
        for direction, count in (('t2i', per_language), ('i2t', 1)):
            own = [item for item in items if item['language'] == language and item['direction'] == direction]
            if not own:
                continue
            for k in range(count):
                # another stretch of the test set for each language, so that one picture shows many scenes
                item = own[(len(own) * (2 * k + 1) // (2 * count) + place * 7) % len(own)]
                rows.append(_gallery_row(item, dataset))
    return rows


def _gallery_row(item: dict[str, Any], dataset: Any) -> GalleryRow:
    t2i = item['direction'] == 't2i'
    right = set(item['positive_numbers'])
    return GalleryRow(
        direction=item['direction'],
        language=item['language'],
        query=item['query'] if t2i else _image(dataset, item['query_id']),
        retrieved=[_image(dataset, n) for n in item['retrieved_numbers']] if t2i else item['retrieved'],
        correct=[number in right for number in item['retrieved_numbers']],
        rank=item['rank'] if item['reranked'] is None else item['reranked'],
    )


def _image(dataset: Any, number: int) -> np.ndarray:
    return dataset.get_image(number)


def prediction_rows(items: Sequence[dict[str, Any]], dataset: Any, per_language: int) -> list[CaptionedImage]:
    """Choose items for the gallery of a task: evenly spread ones, not the best ones.

    Args:
        items: rows of `ClassificationMetric` or `TranslationMetric`.
        dataset: gives the images by their `number`.
        per_language: how many a language.
    """
    rows = []
    for place, language in enumerate(dict.fromkeys(item['language'] for item in items)):
        own = [item for item in items if item['language'] == language]
        for k in range(per_language):
            item = own[(len(own) * (2 * k + 1) // (2 * per_language) + place * 7) % len(own)]
            if 'hypothesis' in item:
                said, right = item['hypothesis'], item['reference']
            else:
                said, right = item['predicted_answer'], item['answer']
            rows.append(
                CaptionedImage(
                    name=f'{language}: {"right" if said == right else "wrong"}',
                    texts=[(item.get('text_language', language), item['text']), (language, f'-> {said}')],
                    image=_image(dataset, item['number']),
                    note='' if said == right else f'right: {right}',
                )
            )
    return rows
