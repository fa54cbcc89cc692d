"""What the fused representation z(i, t) holds: proximity against relevance, and a probe for the text's content."""

from collections.abc import Iterator
from typing import Any

from mmengine.runner import Runner
from torch import Tensor

from rc3mm.engine.evaluation_loop import EvaluationLoop
from rc3mm.models.objectives import BatchContext
from rc3mm.registry import LOOPS
from rc3mm.structures import VisualForm, VLDataSample

__all__ = ['FusedLoop']


@LOOPS.register_module()
class FusedLoop(EvaluationLoop):
    """Looks into z on weakly-aligned pairs whose content is known (EmojiWeak).

    Rows: one a pair (`kind='proximity'`, see `ProximityMetric`) and one a text (`kind='mention'`, see `MentionProbe`):
    those of the test set, and those of `probe_dataloader`, on which the probe is fitted.

    Args:
        runner: the runner.
        dataloader: loader of pairs, with `EvalSampler`; samples carry `true_relevance`, `objects` and `mentions`.
        evaluator: `ProximityMetric`, `MentionProbe`.
        probe_dataloader: loader of the texts that the probe is fitted on: English ones, of another split.
        form: see `EvaluationLoop`.
        setting: see `EvaluationLoop`.
        bf16: see `EvaluationLoop`.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: Any,
        evaluator: Any,
        probe_dataloader: dict,
        form: str | None = None,
        setting: str = 'zero-shot',
        bf16: bool = False,
    ) -> None:
        super().__init__(runner, dataloader, evaluator, form, setting, bf16)
        self.probe_dataloader = Runner.build_dataloader(probe_dataloader, seed=runner.seed)

    def rows(self, form: VisualForm) -> Iterator[list[dict[str, Any]]]:
        """See `EvaluationLoop`."""
        for role, loader in (('fit', self.probe_dataloader), ('test', self.dataloader)):
            for inputs, samples in self.batches(loader):
                context = BatchContext(self.model, inputs, samples, [form] * len(samples[0].texts))
                z_BPE = context.fused_embeddings_BPE.float().cpu()
                yield [row for sample, z in zip(samples, z_BPE, strict=True) for row in _rows(sample, z, role)]


def _rows(sample: VLDataSample, z_PE: Tensor, role: str) -> Iterator[dict[str, Any]]:
    """The rows of one image with two texts."""
    for place, ((language, _), mentions) in enumerate(zip(sample.texts, sample.mentions, strict=True)):
        yield {
            'kind': 'mention',
            'role': role,
            'language': language,
            'item_id': f'{sample.image_id}:{place}',
            'z': z_PE[place].tolist(),
            'objects': sample.objects,
            'mentions': mentions,
        }
    if role == 'test':
        yield {
            'kind': 'proximity',
            'item_id': sample.image_id,
            'proximity': float(z_PE[0] @ z_PE[1]),
            'relevance': sample.true_relevance,
        }
