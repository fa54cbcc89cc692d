"""Zero-shot retrieval during training and in tests: encode once, rank in chunks, re-rank the top by ITM.

Memory: embeddings of all items on every rank, visual tokens of a rank's own images only if re-ranking is asked for,
scores in chunks. Nothing grows with the square of the test set.
"""

import logging
from typing import Any

import torch
from mmengine.evaluator import Evaluator
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rc3mm.engine.retrieval_index import LocalImages, RetrievalIndex, gather_rows
from rc3mm.evaluation.functional import positives_of_images, positives_of_texts, rerank, retrieval_ranks, top_k
from rc3mm.registry import LOOPS
from rc3mm.structures import VisualForm
from rc3mm.utils.dist import rank_and_world_size

__all__ = ['RetrievalLoop']

_SHOWN = 5  # retrieved items that are kept a query, for item files and the gallery


@LOOPS.register_module()
class RetrievalLoop(BaseLoop):
    """Image->text and text->image retrieval, a language at a time; serves as validation and as test loop.

    A sample is an image with any number of texts in any languages. Candidates of a language are its texts and all
    images. The rows handed to the evaluator are one a query (`kind='query'`) and, with `shortcut`, one an image and
    language (`kind='shortcut'`).

    Args:
        runner: the runner.
        dataloader: loader of the test set, with `EvalSampler` so that each item is seen once.
        evaluator: `RetrievalMetric` and, with `shortcut`, `ShortcutAccuracy`.
        form: visual form, or None for the model's own `test_form`.
        rerank_topk: how many candidates a query the ITM head re-ranks; 0 for none.
        shortcut: also measure how well z(i, t_i) is told from z(i, t_j), see `ShortcutAccuracy`.
        setting: the name under which tables report the numbers.
        pair_chunk: (image, text) pairs fused at a time.
        text_chunk: texts encoded at a time while re-ranking.
        bf16: evaluate under bfloat16 autocast.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: Any,
        evaluator: Evaluator | dict | list,
        form: str | None = None,
        rerank_topk: int = 0,
        shortcut: bool = False,
        setting: str = 'zero-shot',
        pair_chunk: int = 512,
        text_chunk: int = 256,
        bf16: bool = False,
    ) -> None:
        super().__init__(runner, dataloader)
        self.evaluator = evaluator if isinstance(evaluator, Evaluator) else runner.build_evaluator(evaluator)
        self.evaluator.dataset_meta = self.metainfo
        self.form = VisualForm(form) if form else None
        self.rerank_topk = rerank_topk
        self.shortcut = shortcut
        self.setting = setting
        self.pair_chunk = pair_chunk
        self.text_chunk = text_chunk
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

    @torch.no_grad()
    def run(self) -> dict[str, float]:
        """Evaluate; the metrics are returned and handed to the hooks."""
        phase = 'test' if self.runner._test_loop is self else 'val'
        self.runner.call_hook(f'before_{phase}')
        self.runner.call_hook(f'before_{phase}_epoch')
        training = self.model.training
        self.model.eval()
        form = self.form or self.model.test_form
        device = next(self.model.parameters()).device
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.bf16):
            images, local = self._encode(form, phase)
            index = RetrievalIndex.gather(images, device)
            for number, language in enumerate(index.languages):
                self.evaluator.process(data_samples=self._rank(index, local, language, form))
                if self.rerank_topk:
                    self._log(f'{phase}: re-ranked {language}, {number + 1} of {len(index.languages)} languages')
        metrics = self.evaluator.evaluate(len(self.dataloader.dataset))
        self.model.train(training)
        self.runner.call_hook(f'after_{phase}_epoch', metrics=metrics)
        self.runner.call_hook(f'after_{phase}')
        return metrics

    @staticmethod
    def _log(message: str) -> None:
        print_log(message, logger='current', level=logging.INFO)

    # -- towers

    def _encode(self, form: VisualForm, phase: str) -> tuple[list[dict[str, Any]], LocalImages]:
        """Every image and text of this rank through the towers, once."""
        rank, world_size = rank_and_world_size()
        images: list[dict[str, Any]] = []
        local = LocalImages()
        for number, batch in enumerate(self.dataloader):
            self.runner.call_hook(f'before_{phase}_iter', batch_idx=number, data_batch=batch)
            data = self.model.data_preprocessor(batch)
            inputs, samples = data['inputs'], data['data_samples']
            visual = self.model.encode_visual(inputs, [form])
            image_BE = self.model.embed_image(visual, form).float().cpu()
            states = self.model.text_encoder(inputs['text_ids'], inputs['text_mask'])
            text_ME = self.model.embed_text(states, inputs['text_mask']).float().cpu()
            lengths = inputs['text_mask'].sum(1).tolist()
            if self.shortcut:
                self.evaluator.process(data_samples=self._shortcut_rows(samples, states, inputs, visual, form))
            row = 0
            for position, sample in enumerate(samples):
                rows = range(row, row + len(sample.texts))
                row += len(sample.texts)
                images.append(
                    {
                        'number': rank + world_size * len(images),  # EvalSampler's order
                        'image_id': sample.image_id,
                        'embedding': image_BE[position],
                        'texts': sample.texts,
                        'text_ids': [inputs['text_ids'][m, : lengths[m]].cpu() for m in rows],
                        'text_embeddings': text_ME[rows.start : rows.stop],
                    }
                )
                if self.rerank_topk:
                    local.add(images[-1]['number'], visual[position : position + 1])
            self.runner.call_hook(f'after_{phase}_iter', batch_idx=number, data_batch=batch, outputs=samples)
        return images, local

    def _shortcut_rows(
        self, samples: list[Any], states_MTD: Tensor, inputs: dict[str, Any], visual: Any, form: VisualForm
    ) -> list[dict[str, Any]]:
        """z(i, t_i) against z(i, t_j), the next image's text in the same language; anchor: the first text's z."""
        if len(samples) < 2:
            return []
        mask = inputs['text_mask']
        places = []  # (image, language, row of its text); the first text an image and language counts
        row = 0
        for image, sample in enumerate(samples):
            seen: dict[str, int] = {}
            for offset, (language, _) in enumerate(sample.texts):
                seen.setdefault(language, row + offset)
            places.append(seen)
            row += len(sample.texts)
        pairs = []  # image, language, own text, mismatched text, anchor text
        for image, seen in enumerate(places):
            following = places[(image + 1) % len(places)]
            anchor, *others = seen
            pairs += [
                (image, language, seen[language], following[language], seen[anchor])
                for language in others
                if language in following
            ]
        if not pairs:
            return []
        owner = torch.tensor([pair[0] for pair in pairs], device=mask.device)
        z = []
        for column in (2, 3, 4):
            rows = torch.tensor([pair[column] for pair in pairs], device=mask.device)
            z.append(self.model.embed_fused(self.model.fuse_pairs(states_MTD[rows], mask[rows], visual, owner, form)))
        own, wrong, anchor = (part.float() for part in z)
        positive, negative = (own * anchor).sum(1).tolist(), (wrong * anchor).sum(1).tolist()
        return [
            {
                'kind': 'shortcut',
                'language': language,
                'item_id': samples[image].image_id,
                'positive': positive[row],
                'negative': negative[row],
            }
            for row, (image, language, *_) in enumerate(pairs)
        ]

    # -- ranking

    def _rank(
        self, index: RetrievalIndex, local: LocalImages, language: str, form: VisualForm
    ) -> list[dict[str, Any]]:
        """The rows of this rank's share of a language's queries."""
        numbers = index.of_language(language)
        owner = index.owner_M[numbers]
        text_ME = index.text_ME[numbers]
        image_queries, image_positives = positives_of_images(owner, len(index.image_ids))
        text_positives = positives_of_texts(owner)
        keep = max(self.rerank_topk, _SHOWN)
        image_QE = index.image_NE[image_queries]
        t2i_rank = retrieval_ranks(text_ME, index.image_NE, text_positives)
        i2t_rank = retrieval_ranks(image_QE, text_ME, image_positives)
        _, t2i_top = top_k(text_ME, index.image_NE, keep)
        _, i2t_top = top_k(image_QE, text_ME, keep)
        t2i_reranked = i2t_reranked = None
        if self.rerank_topk:
            t2i_pairs = (t2i_top, numbers[:, None].expand_as(t2i_top))
            i2t_pairs = (image_queries[:, None].expand_as(i2t_top), numbers[i2t_top])
            t2i_score, i2t_score = self._match(index, local, [t2i_pairs, i2t_pairs], form)
            t2i_reranked = rerank(t2i_top, t2i_score, text_positives, t2i_rank)
            i2t_reranked = rerank(i2t_top, i2t_score, image_positives, i2t_rank)
            t2i_top = t2i_top.gather(1, t2i_score.argsort(dim=1, descending=True, stable=True))
            i2t_top = i2t_top.gather(1, i2t_score.argsort(dim=1, descending=True, stable=True))
        rank, world_size = rank_and_world_size()
        rows = []
        for query in range(rank, len(numbers), world_size):
            text, image = int(numbers[query]), int(owner[query])
            rows.append(
                {
                    'kind': 'query',
                    'direction': 't2i',
                    'language': language,
                    'query_id': text,
                    'query': index.texts[text][1],
                    'rank': int(t2i_rank[query]),
                    'reranked': None if t2i_reranked is None else int(t2i_reranked[query]),
                    'retrieved': [index.image_ids[i] for i in t2i_top[query, :_SHOWN].tolist()],
                    'retrieved_numbers': t2i_top[query, :_SHOWN].tolist(),
                    'positive': [index.image_ids[image]],
                    'positive_numbers': [image],
                }
            )
        for query in range(rank, len(image_queries), world_size):
            image = int(image_queries[query])
            right = numbers[torch.tensor(image_positives.row(query), device=numbers.device)].tolist()
            found = numbers[i2t_top[query, :_SHOWN]].tolist()
            rows.append(
                {
                    'kind': 'query',
                    'direction': 'i2t',
                    'language': language,
                    'query_id': image,
                    'query': index.image_ids[image],
                    'rank': int(i2t_rank[query]),
                    'reranked': None if i2t_reranked is None else int(i2t_reranked[query]),
                    'retrieved': [index.texts[m][1] for m in found],
                    'retrieved_numbers': found,
                    'positive': [index.texts[m][1] for m in right],
                    'positive_numbers': right,
                }
            )
        return rows

    def _match(
        self, index: RetrievalIndex, local: LocalImages, tables: list[tuple[Tensor, Tensor]], form: VisualForm
    ) -> list[Tensor]:
        """ITM scores of tables of (image, text) pairs; each distinct pair is scored once, by its image's owner."""
        M = len(index.texts)
        keys = torch.cat([(image * M + text).flatten() for image, text in tables])
        unique, inverse = keys.unique(return_inverse=True)
        scores = torch.zeros(len(unique), device=unique.device)
        place = {number: row for row, number in enumerate(local.numbers)}
        pairs = [(key, key % M, place[key // M]) for key in unique.tolist() if key // M in place]
        own = self._score_pairs(index, local, pairs, form)
        for part_keys, part_scores in gather_rows((torch.tensor([pair[0] for pair in pairs]), own)):
            if len(part_keys):
                scores[torch.searchsorted(unique, part_keys.to(unique.device))] = part_scores.to(unique.device)
        parts = scores[inverse].split([image.numel() for image, _ in tables])
        return [part.view_as(image) for part, (image, _) in zip(parts, tables, strict=True)]

    def _score_pairs(
        self, index: RetrievalIndex, local: LocalImages, pairs: list[tuple[int, int, int]], form: VisualForm
    ) -> Tensor:
        """Scores of (key, text, local image) triples, on the CPU, in their order; each text is encoded once."""
        device = index.image_NE.device
        out = torch.zeros(len(pairs))
        order = sorted(range(len(pairs)), key=lambda position: len(index.text_ids[pairs[position][1]]))
        texts = list(dict.fromkeys(pairs[position][1] for position in order))
        of_text: dict[int, list[int]] = {}
        for position in order:
            of_text.setdefault(pairs[position][1], []).append(position)
        for start in range(0, len(texts), self.text_chunk):
            chunk = texts[start : start + self.text_chunk]
            ids = pad_sequence([index.text_ids[m] for m in chunk], batch_first=True, padding_value=0).to(device)
            lengths = torch.tensor([len(index.text_ids[m]) for m in chunk], device=device)
            mask = torch.arange(ids.shape[1], device=device) < lengths[:, None]
            states = self.model.text_encoder(ids.masked_fill(~mask, self.model.pad_id), mask)
            todo = [(row, position) for row, m in enumerate(chunk) for position in of_text[m]]
            for first in range(0, len(todo), self.pair_chunk):
                part = todo[first : first + self.pair_chunk]
                rows = torch.tensor([row for row, _ in part], device=device)
                positions = [position for _, position in part]
                images = sorted({pairs[position][2] for position in positions})
                visual = local.select(images, states.dtype)
                where = {image: place for place, image in enumerate(images)}
                owner = torch.tensor([where[pairs[position][2]] for position in positions], device=device)
                fused = self.model.fuse_pairs(states[rows], mask[rows], visual, owner, form)
                out[positions] = self.model.match_scores(fused).float().cpu()
        return out
