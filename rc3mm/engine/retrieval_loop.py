"""Zero-shot retrieval during training and in tests: encode once, rank in chunks, re-rank the top by ITM.

Memory: embeddings of all items on every rank, visual tokens of a rank's own images only if re-ranking or
the shortcut is asked for, scores in chunks. Nothing grows with the square of the test set.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rc3mm.engine.evaluation_loop import EvaluationLoop
from rc3mm.engine.retrieval_index import LocalImages, RetrievalIndex, gather_rows
from rc3mm.evaluation.functional import (
    Positives,
    positives_of_images,
    positives_of_texts,
    rerank,
    retrieval_ranks,
    top_k,
)
from rc3mm.registry import LOOPS
from rc3mm.structures import VisualForm
from rc3mm.utils.dist import rank_and_world_size

__all__ = ['RetrievalLoop']

_SHOWN = 5  # retrieved items that are kept a query, for item files and the gallery


@dataclass(frozen=True)
class _Ranking:
    """One direction of a language: ranks and best candidates of Q queries.

    Attributes:
        rank_Q: rank of the best right candidate by the towers.
        score_Qk: the towers' cosines of the best candidates.
        top_Qk: the best candidates, best first.
        reranked_Q: rank after re-ranking, or None.
    """

    rank_Q: Tensor
    score_Qk: Tensor
    top_Qk: Tensor
    reranked_Q: Tensor | None = None

    @classmethod
    def of(cls, query_QE: Tensor, candidate_CE: Tensor, positives: Positives, keep: int) -> '_Ranking':
        """By the towers' embeddings."""
        score_Qk, top_Qk = top_k(query_QE, candidate_CE, keep)
        return cls(retrieval_ranks(query_QE, candidate_CE, positives), score_Qk, top_Qk)

    def reordered(self, score_Qk: Tensor, positives: Positives) -> '_Ranking':
        """With the first k candidates ordered by other scores; those behind stay where they were."""
        k = score_Qk.shape[1]
        first = self.top_Qk[:, :k]
        order = score_Qk.nan_to_num(nan=-torch.inf).argsort(dim=1, descending=True, stable=True)
        top = torch.cat([first.gather(1, order), self.top_Qk[:, k:]], dim=1)
        return _Ranking(self.rank_Q, self.score_Qk, top, rerank(first, score_Qk, positives, self.rank_Q))

    def row(self, query: int, direction: str, language: str, query_id: int, text: str) -> dict[str, Any]:
        """What `RetrievalMetric` needs of one query."""
        return {
            'kind': 'query',
            'direction': direction,
            'language': language,
            'query_id': query_id,
            'query': text,
            'rank': int(self.rank_Q[query]),
            'reranked': None if self.reranked_Q is None else int(self.reranked_Q[query]),
        }


@LOOPS.register_module()
class RetrievalLoop(EvaluationLoop):
    """Image->text and text->image retrieval, a language at a time; serves as validation and as test loop.

    A sample is an image with any number of texts in any languages. Candidates of a language are its texts and the
    images that have one. The rows handed to the evaluator are one a query (`kind='query'`) and, with `shortcut`, one an
    image and language (`kind='shortcut'`), with `text_to_text` one a text and other language (`kind='text_query'`).

    Args:
        runner: the runner.
        dataloader: loader of the test set, with `EvalSampler` so that each item is seen once.
        evaluator: `RetrievalMetric`, with `shortcut` `ShortcutAccuracy`, with `text_to_text` `TextRetrievalMetric`.
        rerank_topk: how many candidates a query the ITM head re-ranks; 0 for none.
        rerank_by: `itm`, the ITM head's log odds alone (ALBEF, CCLM), or `itm+itc`, `itm_weight` times those plus the
            towers' similarity / tau, both being log odds (BLIP adds its similarity likewise).
        itm_weight: weight of the ITM head in `itm+itc`; choose it on validation data.
        shortcut: also measure how well z(i, t_i) is told from z(i, t_j), see `ShortcutAccuracy`.
        text_to_text: also rank the texts of each language by those of each other, see `TextRetrievalMetric`.
        pair_chunk: (image, text) pairs fused at a time.
        text_chunk: texts encoded at a time while re-ranking.
        form: see `EvaluationLoop`.
        setting: see `EvaluationLoop`.
        bf16: see `EvaluationLoop`.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: Any,
        evaluator: Any,
        rerank_topk: int = 0,
        rerank_by: str = 'itm',
        itm_weight: float = 1.0,
        shortcut: bool = False,
        text_to_text: bool = False,
        pair_chunk: int = 512,
        text_chunk: int = 256,
        form: str | None = None,
        setting: str = 'zero-shot',
        bf16: bool = False,
    ) -> None:
        super().__init__(runner, dataloader, evaluator, form, setting, bf16)
        if rerank_by not in ('itm', 'itm+itc'):
            raise ValueError(f"rerank_by must be 'itm' or 'itm+itc', got {rerank_by!r}")
        self.rerank_topk = rerank_topk
        self.rerank_by = rerank_by
        self.itm_weight = itm_weight
        self.shortcut = shortcut
        self.text_to_text = text_to_text
        self.pair_chunk = pair_chunk
        self.text_chunk = text_chunk

    def rows(self, form: VisualForm) -> Iterator[list[dict[str, Any]]]:
        """See `EvaluationLoop`."""
        images, local = self._encode(form)
        index = RetrievalIndex.gather(images, next(self.model.parameters()).device)
        if self.shortcut:
            yield self._shortcut_rows(index, local, form)
        if self.text_to_text:
            yield self._text_rows(index)
        for number, language in enumerate(index.languages):
            yield self._rank(index, local, language, form)
            if self.rerank_topk:
                self.log(f'{self.phase}: re-ranked {language}, {number + 1} of {len(index.languages)} languages')

    # -- towers

    def _encode(self, form: VisualForm) -> tuple[list[dict[str, Any]], LocalImages]:
        """Every image and text of this rank through the towers, once."""
        rank, world_size = rank_and_world_size()
        images: list[dict[str, Any]] = []
        local = LocalImages()
        for inputs, samples in self.batches(self.dataloader):
            visual = self.model.encode_visual(inputs, [form])
            visible_BV = visual.visible_BV(form)
            image_BE = self.model.embed_image(visual, form).float().cpu()
            states = self.model.text_encoder(inputs['text_ids'], inputs['text_mask'], inputs.get('text_lengths'))
            text_ME = self.model.embed_text(states, inputs['text_mask']).float().cpu()
            lengths = inputs['text_mask'].sum(1).tolist()
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
                if self.rerank_topk or self.shortcut:
                    local.add(images[-1]['number'], visual.tokens_BVD[position][visible_BV[position]])
        return images, local

    # -- ranking

    def _rank(self, index: RetrievalIndex, local: LocalImages, language: str, form: VisualForm) -> list[dict[str, Any]]:
        """The rows of this rank's share of a language's queries."""
        numbers = index.of_language(language)
        text_ME, owner = index.text_ME[numbers], index.owner_M[numbers]
        pool, member = owner.unique(return_inverse=True)  # images that have a text in this language
        _, right_texts = positives_of_images(member, len(pool))
        right_images = positives_of_texts(member)
        keep = max(self.rerank_topk, _SHOWN)
        t2i = _Ranking.of(text_ME, index.image_NE[pool], right_images, keep)
        i2t = _Ranking.of(index.image_NE[pool], text_ME, right_texts, keep)
        if self.rerank_topk:
            t2i_top, i2t_top = t2i.top_Qk[:, : self.rerank_topk], i2t.top_Qk[:, : self.rerank_topk]
            pairs = [
                (pool[t2i_top], numbers[:, None].expand_as(t2i_top)),
                (pool[:, None].expand_as(i2t_top), numbers[i2t_top]),
            ]
            t2i_score, i2t_score = self._match(index, local, pairs, form)
            if self.rerank_by == 'itm+itc':
                tau = self.model.tau_towers()
                t2i_score = self.itm_weight * t2i_score + t2i.score_Qk[:, : self.rerank_topk] / tau
                i2t_score = self.itm_weight * i2t_score + i2t.score_Qk[:, : self.rerank_topk] / tau
            t2i = t2i.reordered(t2i_score, right_images)
            i2t = i2t.reordered(i2t_score, right_texts)
        rank, world_size = rank_and_world_size()
        rows = []
        for query in range(rank, len(numbers), world_size):
            text, found = int(numbers[query]), pool[t2i.top_Qk[query, :_SHOWN]].tolist()
            rows.append(
                {
                    **t2i.row(query, 't2i', language, text, index.texts[text][1]),
                    'retrieved': [index.image_ids[n] for n in found],
                    'retrieved_numbers': found,
                    'positive': [index.image_ids[int(owner[query])]],
                    'positive_numbers': [int(owner[query])],
                }
            )
        for query in range(rank, len(pool), world_size):
            image, found = int(pool[query]), numbers[i2t.top_Qk[query, :_SHOWN]].tolist()
            right = [int(numbers[place]) for place in right_texts.row(query)]
            rows.append(
                {
                    **i2t.row(query, 'i2t', language, image, index.image_ids[image]),
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
        own = self._over_pairs(index, local, pairs, form, self.model.match_scores)
        for part_keys, part_scores in gather_rows((torch.tensor([pair[0] for pair in pairs]), own)):
            if len(part_keys):
                scores[torch.searchsorted(unique, part_keys.to(unique.device))] = part_scores.to(unique.device)
        parts = scores[inverse].split([image.numel() for image, _ in tables])
        return [part.view_as(image) for part, (image, _) in zip(parts, tables, strict=True)]

    # -- text to text

    @staticmethod
    def _text_rows(index: RetrievalIndex) -> list[dict[str, Any]]:
        """Ranks of the right texts of another language, by the text tower; an image's first text is its query."""
        rank, world_size = rank_and_world_size()
        rows = []
        for first, second in permutations(index.languages, 2):
            own, other = index.of_language(first), index.of_language(second)
            images, right = positives_of_images(index.owner_M[other], len(index.image_ids))
            place = {int(image): row for row, image in reversed(list(enumerate(index.owner_M[own].tolist())))}
            asked = [row for row, image in enumerate(images.tolist()) if image in place]
            queries = torch.tensor([place[int(images[row])] for row in asked], dtype=torch.int64, device=own.device)
            positives = Positives.from_lists([right.row(row) for row in asked])
            ranks = retrieval_ranks(index.text_ME[own[queries]], index.text_ME[other], positives).tolist()
            rows += [
                {'kind': 'text_query', 'languages': (first, second), 'query_id': int(images[row]), 'rank': ranks[k]}
                for k, row in enumerate(asked)
                if k % world_size == rank
            ]
        return rows

    # -- shortcut

    def _shortcut_rows(self, index: RetrievalIndex, local: LocalImages, form: VisualForm) -> list[dict[str, Any]]:
        """z(i, t_i) against z(i, t_j), the next image's text in the same language; anchor: the first text's z.

        The next image is that of the whole test set, so neither batches nor processes change the numbers.
        """
        first: list[dict[str, int]] = [{} for _ in index.image_ids]  # the first text an image and language counts
        for text, image in enumerate(index.owner_M.tolist()):
            first[image].setdefault(index.texts[text][0], text)
        todo = []  # image, its place here, language, own text, mismatched text, anchor text
        for place, image in enumerate(local.numbers):
            own, following = first[image], first[(image + 1) % len(first)]
            todo += [
                (image, place, language, own[language], following[language], next(iter(own.values())))
                for language in list(own)[1:]
                if language in following and len(first) > 1
            ]
        triples = [(row, text, place) for row, (_, place, _, *texts) in enumerate(todo) for text in texts]
        if not triples:
            return []
        z = self._over_pairs(index, local, triples, form, self.model.embed_fused).view(len(todo), 3, -1)
        positive, negative = (z[:, :2] * z[:, 2:]).sum(2).T.tolist()
        return [
            {
                'kind': 'shortcut',
                'language': language,
                'item_id': index.image_ids[image],
                'positive': positive[row],
                'negative': negative[row],
            }
            for row, (image, _, language, *_) in enumerate(todo)
        ]

    def _over_pairs(
        self,
        index: RetrievalIndex,
        local: LocalImages,
        pairs: list[tuple[int, int, int]],
        form: VisualForm,
        head: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """`head` of fused (key, text, local image) triples, on the CPU, in their order; a text is encoded once."""
        device = index.image_NE.device
        parts, done = [], []
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
                fused = self.model.fuse_pairs(states[rows], mask[rows], visual, owner, VisualForm.BOTH)
                parts.append(head(fused).float().cpu())
                done += positions
        if not parts:
            return torch.zeros(0)
        return torch.cat(parts)[torch.tensor(done).argsort()]
