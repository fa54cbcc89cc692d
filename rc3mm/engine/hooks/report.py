"""What a run leaves for people: a table on the screen, results.json, a loss plot and a gallery."""

import json
import time
from collections.abc import Mapping, Sequence
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

    Files in the work directory: `losses.png`, `results.json`, `results.md` and `gallery.png`; of an `EvaluationSuite`
    a `gallery_<part>.png` a part.

    Args:
        gallery_rows: text queries shown a language; image queries are as many in all. 0 draws no gallery.
        out_item: write one JSON line a query, answer or translation to this file, or None; of a suite with its `part`.
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
                path = Path(self.show_dir or runner.work_dir) / 'losses.png'
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
        parts = loop.parts if isinstance(loop, EvaluationSuite) else {'': loop}
        signatures = {
            _joined(name, f'{metric.prefix}/{number}'): text
            for name, part in parts.items()
            for metric in part.evaluator.metrics
            if isinstance(metric, PerItemMetric)
            for number, text in metric.signatures.items()
        }
        checkpoint = runner._load_from
        if 'train' in self._started:  # then the weights are those of training, whatever it began with
            checkpoint = getattr(runner, 'chosen', None) or runner.message_hub.runtime_info.get('last_ckpt')
        extra = {'checkpoint': checkpoint, 'form': str(getattr(loop, 'form', None) or runner_form(runner))}
        path = Path(runner.work_dir) / 'results.json'
        write_results(
            path,
            metrics,
            config_text=runner.cfg.pretty_text,
            seed=runner.seed,
            timings=self.timings,
            extra=extra | ({'signatures': signatures} if signatures else {}),
            **facts_of(loop),
        )
        runner.logger.info(f'results: {path}')
        self._report(runner, loop, parts, metrics)

    def _report(self, runner: Runner, loop: Any, parts: Mapping[str, Any], metrics: dict[str, float]) -> None:
        """Tables, pictures and items of all parts; of a loop that has none, under the name ''."""
        documents: list[str] = []
        lines: list[dict[str, Any]] = []
        for name, part in parts.items():
            items = items_of(part)
            lines += [{'part': name, **item} if name else item for item in items]
            if self.gallery_rows and items:
                path = Path(self.show_dir or runner.work_dir) / _picture(name)
                self._draw(part, items, path, name)
                runner.logger.info(f'gallery: {path}')
            documents.append(report_table(part, _part_of(metrics, name), facts_of(part, name)))
        for name, chosen in getattr(loop, 'means', {}).items():
            own = [parts[part] for part in chosen]
            about = facts_of(own[0], f'{name}, mean over {", ".join(chosen)}')
            about['num_items'] = sum(part.num_items for part in own)
            kinds = {type(part) for part in own}
            documents.append(report_table(own[0] if len(kinds) == 1 else loop, _part_of(metrics, name), about))
        if any(documents):
            text = '\n'.join(filter(None, documents))
            (Path(runner.work_dir) / 'results.md').write_text(text, encoding='utf-8')
        if self.out_item and lines:
            Path(self.out_item).parent.mkdir(parents=True, exist_ok=True)
            text = '\n'.join(json.dumps(line, ensure_ascii=False) for line in lines)
            Path(self.out_item).write_text(text + '\n', encoding='utf-8')

    def _draw(self, loop: Any, items: Sequence[dict[str, Any]], path: Path, name: str) -> None:
        """The gallery of a loop's items."""
        dataset, title = loop.dataloader.dataset, _title(facts_of(loop, name))
        if isinstance(loop, RetrievalLoop):
            draw_gallery(gallery_rows(items, dataset, self.gallery_rows), path, title)
        else:
            draw_captions(prediction_rows(items, dataset, self.gallery_rows), path, title)


def facts_of(loop: Any, name: str = '') -> dict[str, Any]:
    """Setting, split and number of items of a loop; of a part of a suite, its name before the setting."""
    setting = getattr(loop, 'setting', 'test')
    return {
        'setting': f'{name}, {setting}' if name else setting,
        'split': str(getattr(loop, 'metainfo', {}).get('split', 'test')),
        'num_items': getattr(loop, 'num_items', None) or len(loop.dataloader.dataset),
    }


def items_of(loop: Any) -> list[dict[str, Any]]:
    """The rows of a loop that people look at: queries, answers or translations; of other loops none."""
    if not isinstance(loop, RetrievalLoop | PredictionLoop):
        return []
    kind: type[PerItemMetric] = RetrievalMetric if isinstance(loop, RetrievalLoop) else PerItemMetric
    return [item for metric in loop.evaluator.metrics if isinstance(metric, kind) for item in metric.items]


def report_table(loop: Any, metrics: Mapping[str, float], facts: dict[str, Any]) -> str:
    """Print the table of a loop's metrics; return it in Markdown, or '' if there are but headlines."""
    if isinstance(loop, RetrievalLoop):
        print_table(metrics_table(metrics, **facts))
        shortcut = metrics.get('shortcut/mean_accuracy')
        if shortcut is not None:
            print(f'shortcut accuracy (telling z(i, t_i) from z(i, t_j); 50 = text ignored): {shortcut:.1f} %')
        return metrics_markdown(metrics, **facts)
    if isinstance(loop, PredictionLoop):
        print_table(languages_table(metrics, _title(facts)))
        return languages_markdown(metrics, _title(facts))
    print_table(headlines_table(metrics, _title(facts)))
    return ''


def _title(facts: Mapping[str, Any]) -> str:
    return f'{facts["setting"]}, split {facts["split"]}'


def _picture(name: str) -> str:
    return f'gallery_{name.replace("/", "_")}.png' if name else 'gallery.png'


def _joined(name: str, key: str) -> str:
    return f'{name}/{key}' if name else key


def _part_of(metrics: Mapping[str, float], name: str) -> dict[str, float]:
    """The metrics of a part, without its name."""
    prefix = _joined(name, '')
    return {key.removeprefix(prefix): value for key, value in metrics.items() if key.startswith(prefix)}


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
