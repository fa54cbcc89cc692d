"""MentionProbe: what does a representation know of its text, in languages that the probe has never seen?"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from rc3mm.evaluation.functional.languages import mean_without_pivot, sort_languages
from rc3mm.evaluation.functional.probe import binary_auc, fit_probe
from rc3mm.evaluation.metrics.per_item import PerItemMetric, Row
from rc3mm.registry import METRICS

__all__ = ['MentionProbe']

_KEYS = ('role', 'language', 'item_id', 'z', 'objects', 'mentions')


@METRICS.register_module()
class MentionProbe(PerItemMetric):
    """AUC, in per cent, of a linear probe on z(i, t) that is asked: which of the objects in i does t mention?

    The probe is fitted on rows of role 'fit' (English, by the laws of zero-shot evaluation) and asked about those of
    role 'test', a language at a time. The image alone cannot answer: 50 is a representation that has lost its text.
    Names: `probe/de/auc`, `probe/de/num_items`, `probe/mean_auc` over the languages without English.

    Args:
        num_concepts: how many concepts there are; objects are numbers below it.
        l2: of `fit_probe`.
        collect_device: See `BaseMetric`.
        prefix: See `BaseMetric`.
        collect_dir: See `BaseMetric`.
    """

    kind = 'mention'
    default_prefix = 'probe'

    def __init__(
        self,
        num_concepts: int,
        l2: float = 1e-4,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        self.num_concepts, self.l2 = num_concepts, l2

    def process(self, data_batch: Any, data_samples: Sequence[Row]) -> None:
        """Keep one row a text.

        Args:
            data_batch: Ignored.
            data_samples: Dicts with `role` ('fit' or 'test'), `language`, `item_id` (unique within the role, over all
                processes), `z` (list of floats), `objects` (concepts of the image) and `mentions` (those of the text).

        Raises:
            ValueError: If a key is missing or a role is unknown.
        """
        for row in self.own_rows(data_samples):
            missing = [key for key in _KEYS if key not in row]
            if missing or row['role'] not in ('fit', 'test'):
                raise ValueError(f'a mention row lacks {missing} or has an unknown role; it has {sorted(row)}')
            self.results.append(row)

    def identity(self, row: Row) -> Hashable:
        """Role and id."""
        return row['role'], row['item_id']

    def order(self, row: Row) -> Any:
        """By role and id."""
        return row['role'], row['item_id']

    def verdict(self, row: Row) -> Hashable:
        """What is mentioned is given; z may differ by rounding."""
        return tuple(row['mentions'])

    def summarize(self, items: list[Row]) -> dict[str, float]:
        """AUC and count a language, and the mean without English.

        Raises:
            ValueError: If there are no rows to fit or to test on.
        """
        fit = [row for row in items if row['role'] == 'fit']
        groups: dict[str, list[Row]] = defaultdict(list)
        for row in items:
            if row['role'] == 'test':
                groups[row['language']].append(row)
        if not fit or not groups:
            raise ValueError(f'a probe needs rows to fit on and to test on, got {len(fit)} and {len(items) - len(fit)}')
        probe = fit_probe(*self._tensors(fit), l2=self.l2)
        metrics: dict[str, float] = {}
        aucs = {}
        for language in sort_languages(groups):
            z_ND, asked_NC, label_NC = self._tensors(groups[language])
            aucs[language] = binary_auc(probe(z_ND)[asked_NC], label_NC[asked_NC])
            metrics[f'{language}/auc'] = aucs[language]
            metrics[f'{language}/num_items'] = len(groups[language])
        mean = mean_without_pivot(aucs)
        return metrics if mean is None else {**metrics, 'mean_auc': mean}

    def _tensors(self, rows: list[Row]) -> tuple[Tensor, Tensor, Tensor]:
        """z (N, D), which concepts are in the image (N, C) and which the text mentions (N, C)."""
        asked_NC = torch.zeros(len(rows), self.num_concepts, dtype=torch.bool)
        label_NC = torch.zeros_like(asked_NC)
        for place, row in enumerate(rows):
            asked_NC[place, list(row['objects'])] = True
            label_NC[place, list(row['mentions'])] = True
        return torch.tensor([row['z'] for row in rows], dtype=torch.float32), asked_NC, label_NC
