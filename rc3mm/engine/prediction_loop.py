"""Tests of tasks in which a model answers or writes: one row an item."""

from collections.abc import Iterator
from itertools import count
from typing import Any

from rc3mm.engine.evaluation_loop import EvaluationLoop
from rc3mm.registry import LOOPS
from rc3mm.structures import VisualForm, VLDataSample
from rc3mm.utils.dist import rank_and_world_size

__all__ = ['PredictionLoop']


@LOOPS.register_module()
class PredictionLoop(EvaluationLoop):
    """Hands what a model predicts to `ClassificationMetric` or `TranslationMetric`; arguments of `EvaluationLoop`.

    Rows: `kind='answer'` for samples that have a `prediction`, `kind='translation'` for those with a `hypothesis`.
    """

    def rows(self, form: VisualForm) -> Iterator[list[dict[str, Any]]]:
        """See `EvaluationLoop`."""
        answers = self.metainfo.get('answers')
        rank, world_size = rank_and_world_size()
        numbers = count(rank, world_size)  # EvalSampler's order
        for inputs, samples in self.batches(self.dataloader):
            found = self.model.predict(inputs, samples, form)
            yield [{**_row(sample, answers), 'number': number} for sample, number in zip(found, numbers, strict=False)]


def _row(sample: VLDataSample, answers: tuple[str, ...] | None) -> dict[str, Any]:
    language, text = sample.texts[0]
    row: dict[str, Any] = {'item_id': sample.item_id, 'image_id': sample.image_id, 'text': text}
    if 'hypothesis' in sample:
        target_language, reference = sample.target
        senses = sample.get('senses')
        return row | {
            'kind': 'translation',
            'language': target_language,
            'text_language': language,
            'hypothesis': sample.hypothesis,
            'reference': reference,
            **({'senses': senses} if senses else {}),
        }
    prediction = int(sample.prediction)
    return row | {
        'kind': 'answer',
        'language': language,
        'label': sample.label,
        'prediction': prediction,
        'answer': sample.get('answer'),
        'predicted_answer': answers[prediction] if answers else str(prediction),
        **({'group': sample.group} if 'group' in sample else {}),
    }
