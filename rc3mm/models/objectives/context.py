"""The views of one batch, each computed at most once a step, whoever asks for it.

Shapes: B images (or text pairs) on this process, P texts an image, n of them, T text tokens, V visual tokens, D width
of the fusion head, E width of the embeddings, K masked positions. Text row (i, k) of a batch is row i * P + k.
"""

from collections.abc import Collection, Sequence
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rc3mm.models.layers import WordTie, draw_masked_regions
from rc3mm.models.losses import PairSimilarities, pair_similarities
from rc3mm.models.objectives.context_model import ContextModel
from rc3mm.models.objectives.negatives import draw_negatives
from rc3mm.structures import VisualForm, VisualTokens, VLDataSample
from rc3mm.utils.dist import rank_and_world_size

__all__ = ['MASKED_PAIR', 'MASKED_SINGLE', 'BatchContext', 'Request']

MASKED_SINGLE, MASKED_PAIR = 'masked_single', 'masked_pair'
_TEXTS = 'texts'  # beside these two: the texts as they are
Request = tuple[Any, ...]  # name of a view of `BatchContext`, and the arguments, if it takes any


class BatchContext:
    """Lazily computed, cached views of one homogeneous training batch.

    Args:
        model: provides the encoders and projections.
        inputs: the batch's tensors, as `vl_collate` and the data preprocessor leave them.
        data_samples: one an image (or text pair).
        view_forms: the visual form that each of the P texts sees; empty for a batch without images.
        negatives_within: draw hard negatives only from blocks of this many items; None for the process's whole batch.
            With blocks no larger than the smallest per-process batch, the result does not depend on how many processes
            share the global batch.
        uniform_negatives: draw the negatives of ITM at random instead of by similarity.
        needs: what will be asked for, see `Objective.needs`; only makes it cheaper.
        first: number of the first item, where the context is of a part of the process's batch.
        whole: items of the process's batch, if these are a part of it.
    """

    def __init__(
        self,
        model: ContextModel,
        inputs: dict[str, Any],
        data_samples: Sequence[VLDataSample],
        view_forms: Sequence[VisualForm] = (),
        negatives_within: int | None = None,
        uniform_negatives: bool = False,
        needs: Collection[Request] = (),
        first: int = 0,
        whole: int | None = None,
    ) -> None:
        self.model = model
        self.inputs = inputs
        self.data_samples = data_samples
        self.view_forms = tuple(view_forms)
        self.negatives_within = negatives_within
        self.uniform_negatives = uniform_negatives
        self.needs = tuple(needs)
        self.first, self.whole = first, whole or len(data_samples)
        self.tie = WordTie()
        self._states: dict[str, Tensor] = {}
        self._fused: dict[tuple[str, int], Tensor] = {}
        self._cache: dict[Any, Any] = {}
        if 'image_index' in inputs:
            raise ValueError('in pre-training each item has its own image: leave out `share_images` of `vl_collate`')
        numbers = {len(sample.texts) for sample in data_samples}
        if len(numbers) != 1:
            raise ValueError(
                f'a training batch needs equally many texts an image, source "{self.source}" has {sorted(numbers)}'
            )

    @property
    def source(self) -> str:
        """The data source that every sample of the batch comes from."""
        return self.data_samples[0].source

    @property
    def B(self) -> int:
        """Images (or text pairs) of this process."""
        return len(self.data_samples)

    @property
    def P(self) -> int:
        """Texts an image."""
        return len(self.inputs['text_ids']) // self.B

    @property
    def relevance_B(self) -> Tensor:
        """Textual relevance of the two texts of each item, in [0, 1].

        Raises:
            KeyError: the data pipeline did not provide it.
        """
        if 'relevance' not in self.inputs:
            raise KeyError(
                f'batches of source "{self.source}" carry no textual relevance; add the transform `ScoreRelevance` '
                '(or a dataset that stores scores) to its pipeline'
            )
        return self.inputs['relevance'].float()

    # -- the image

    @cached_property
    def visual(self) -> VisualTokens:
        """The visual tokens of all forms that this batch uses; one call of each encoder."""
        return self.model.encode_visual(self.inputs, self.view_forms)

    @property
    def sees_regions(self) -> bool:
        """Whether any of the texts sees regions."""
        return any(form is not VisualForm.PATCH for form in self.view_forms)

    @cached_property
    def visible_BPV(self) -> Tensor:
        """The visual tokens that each text of each image may see."""
        return torch.stack([self.visual.visible_BV(form) for form in self.view_forms], dim=1)

    @cached_property
    def image_embeddings_BPE(self) -> Tensor:
        """Unit-length image embeddings in the form that each view uses."""
        by_form = {form: self.model.embed_image(self.visual, form) for form in dict.fromkeys(self.view_forms)}
        return torch.stack([by_form[form] for form in self.view_forms], dim=1)

    # -- the texts

    @property
    def text_states_BPTD(self) -> Tensor:
        """Text encoder states of all texts."""
        states = self._text_states(_TEXTS)
        return states.view(self.B, self.P, *states.shape[1:])

    def _text_states(self, kind: str) -> Tensor:
        """Text encoder states of the texts or of a masked kind; with all others that will be asked for, in one call."""
        if kind not in self._states:
            asked = {args[0] if name == 'masked_states_KD' else _TEXTS for name, *args in self.needs}  # what is fused
            kinds = [name for name in (_TEXTS, MASKED_SINGLE, MASKED_PAIR) if name in asked]
            kinds = kinds if kind in kinds else [kind]
            texts = [self._tokens(name) for name in kinds]
            width = max(ids.shape[1] for ids, _, _ in texts)
            ids = torch.cat([F.pad(ids, (0, width - ids.shape[1]), value=self.model.pad_id) for ids, _, _ in texts])
            mask = torch.cat([F.pad(mask, (0, width - mask.shape[1])) for _, mask, _ in texts])
            known = all(lengths is not None for _, _, lengths in texts)
            lengths = [length for _, _, part in texts for length in part or ()] if known else None
            states = self.model.text_encoder(ids, mask, lengths, self.tie)
            parts = states.split([len(ids) for ids, _, _ in texts])
            for name, states, (ids, _, _) in zip(kinds, parts, texts, strict=True):
                self._states[name] = states[:, : ids.shape[1]]
        return self._states[kind]

    def _tokens(self, kind: str) -> tuple[Tensor, Tensor, Sequence[int] | None]:
        """Ids, mask and lengths of the texts or of a masked kind."""
        if kind == _TEXTS:
            return self.inputs['text_ids'], self.inputs['text_mask'], self.inputs.get('text_lengths')
        masked = self.masked(kind)
        return masked['ids'], masked['mask'], masked.get('lengths')

    @property
    def first_states_BPD(self) -> Tensor:
        """The text encoder's state of each text's first token."""
        return self.text_states_BPTD[:, :, 0]

    @property
    def text_mask_BPT(self) -> Tensor:
        """True at real tokens."""
        return self.inputs['text_mask'].view(self.B, self.P, -1)

    @cached_property
    def text_embeddings_BPE(self) -> Tensor:
        """Unit-length text embeddings of the text tower."""
        states = self.text_states_BPTD.flatten(0, 1)
        return self.model.embed_text(states, self.inputs['text_mask']).view(self.B, self.P, -1)

    # -- image and text together

    @cached_property
    def visual_memory(self) -> Any:
        """What the fusion head reads of the visual tokens, computed once for all texts that are fused with them."""
        return self.model.fusion.read_visual(self.visual.tokens_BVD)

    def fused_BnD(self, texts: int | None = None) -> Tensor:
        """h(i, t): the pooled visio-textual representation of each image with its first texts, all unless told."""
        return self._pairs('own', texts)

    def wrong_text_BnD(self, texts: int | None = None) -> Tensor:
        """h(i, t_j): each image with a mismatched text in each of its first views, seen in the view's own form."""
        return self._pairs('wrong', texts)

    def _pairs(self, kind: str, texts: int | None) -> Tensor:
        n = self.P if texts is None else texts
        for (name, known), states in self._fused.items():
            if name == kind and known >= n:
                return states[:, :n]
        both = any(name == 'wrong_text_BnD' for name, *_ in self.needs) and not self._fused
        kinds = ('own', 'wrong') if both else (kind,)
        texts_of = {'own': self._own_texts, 'wrong': self._wrong_texts}
        parts = [texts_of[name](n) for name in kinds]
        fused = self.model.fusion(
            torch.cat([states for states, _, _ in parts], 1),
            torch.cat([mask for _, mask, _ in parts], 1),
            self.visual_memory,
            self.visible_BPV[:, :n].repeat(1, len(kinds), 1),
            pooled=True,
            lengths=_interleave([lengths for _, _, lengths in parts], self.B),
        )
        for name, part in zip(kinds, fused.split(n, dim=1), strict=True):
            self._fused[name, n] = part
        return self._fused[kind, n]

    def _own_texts(self, n: int) -> tuple[Tensor, Tensor, list[int] | None]:
        """States (B, n, T, D), mask (B, n, T) and lengths, a list of B x n, of the first texts."""
        lengths = self.inputs.get('text_lengths')
        if lengths is not None and n < self.P:
            lengths = [length for row in range(self.B) for length in lengths[row * self.P :][:n]]
        return self.text_states_BPTD[:, :n], self.text_mask_BPT[:, :n], lengths

    def _wrong_texts(self, n: int) -> tuple[Tensor, Tensor, list[int] | None]:
        """As `_own_texts`, of mismatched ones."""
        wrong_text, _ = self.hard_negatives
        rows = (wrong_text * self.P + torch.arange(self.P, device=wrong_text.device))[:, :n].flatten()
        states, mask = self.text_states_BPTD, self.text_mask_BPT
        lengths = self.inputs.get('text_lengths')
        if lengths is not None:
            # to learn which ones were drawn, a GPU would have to be waited for
            lengths = [lengths[row] for row in rows.tolist()] if rows.device.type == 'cpu' else None
        return (
            states.flatten(0, 1).index_select(0, rows).view(self.B, n, *states.shape[2:]),  # see VisualTokens.select
            mask.flatten(0, 1).index_select(0, rows).view(self.B, n, -1),
            lengths,
        )

    @cached_property
    def fused_embeddings_BPE(self) -> Tensor:
        """z(i, t), unit length."""
        return self.model.embed_fused(self.fused_BnD())

    @cached_property
    def hard_negatives(self) -> tuple[Tensor, Tensor]:
        """Indices of a wrong text for each (image, view) and of a wrong image for each (text, view), both (B, P).

        Drawn with probability softmax(similarity of the towers / tau) among the other items of the block (ALBEF), or
        uniformly; items with the same image id are never each other's negatives.
        """
        # asked for with gradient, as they are kept for others
        image, text = self.image_embeddings_BPE.detach().float(), self.text_embeddings_BPE.detach().float()
        with torch.no_grad():
            similarity_PBB = torch.einsum('bpe,cpe->pbc', image, text) / self.model.tau_towers()
        return draw_negatives(
            torch.zeros_like(similarity_PBB) if self.uniform_negatives else similarity_PBB,
            [sample.image_id for sample in self.data_samples],
            self.negatives_within or self.B,
            int(self.inputs.get('step_seed', 0)),
            self.first,
            self.whole,
        )

    @cached_property
    def wrong_text_embeddings_BPE(self) -> Tensor:
        """z(i, t_j), unit length."""
        return self.model.embed_fused(self.wrong_text_BnD())

    @cached_property
    def wrong_image_BD(self) -> Tensor:
        """h(j, t_i): the first text of each item with a mismatched image."""
        wrong = self.hard_negatives[1][:, 0]
        states, mask, lengths = self._own_texts(1)
        visible = self.visual.visible_BV(self.view_forms[0]).index_select(0, wrong)[:, None]
        memory = self.visual_memory.select(wrong)
        return self.model.fusion(states, mask, memory, visible, pooled=True, lengths=lengths)[:, 0]

    # -- masked regions

    def masked_regions(
        self, mask_feature_F: Tensor, probability: float, leak_iou: float
    ) -> tuple[Tensor, Tensor, Tensor] | None:
        """Regions to predict, each from its place, the image's first text and the regions that may be seen.

        A masked region is a token behind the text, made of `mask_feature_F` and the region's box. It and the text
        see the other regions, without those that overlap a masked one by more than `leak_iou`, and no patches.

        Args:
            mask_feature_F: stands for the features that are to be predicted.
            probability: share of the regions that are masked.
            leak_iou: see above.

        Returns:
            States (K, D) of the fusion head at the masked regions, and the row and the column of each in
            `roi_features`, both (K,); None if no image of the batch has regions.
        """
        self.model.find_regions(self.inputs)
        boxes, real = self.inputs['roi_boxes'], self.inputs['roi_mask']
        seeds = [self._row_seed(row) for row in range(self.B)]
        chosen, hidden = draw_masked_regions(boxes, real, probability, leak_iou, seeds)
        most = int(chosen.sum(1).max()) if chosen.numel() else 0
        if most == 0 and self.model.same_calls:
            raise ValueError(
                f'no image that this process has of source "{self.source}" in this step has regions, so it would '
                'predict none, which sharded layers cannot do; extract the regions, or take the strategy DataParallel'
            )
        if most == 0:
            return None
        place = chosen.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :most]
        asked = chosen.gather(1, place)
        queries = self.model.embed_regions(
            mask_feature_F.expand(*place.shape, -1), boxes.gather(1, place[..., None].expand(-1, -1, 4))
        )
        # The masked tokens are visual tokens as well: with all regions masked there is still something to attend to.
        seen = asked.clone()
        seen[:, 0] |= ~real.any(1)
        states = self.model.fusion(
            self.text_states_BPTD[:, :1],
            self.text_mask_BPT[:, :1],
            self.visual_memory.append(self.model.fusion.read_visual(queries), kept=real.shape[1]),
            torch.cat([real & ~hidden, seen], 1)[:, None],
            queries_BPQD=queries[:, None],
            query_mask_BPQ=asked[:, None],
        )[:, 0, -most:]
        rows, columns = asked.nonzero(as_tuple=True)
        return states.flatten(0, 1).index_select(0, rows * most + columns), rows, place[rows, columns]

    def _row_seed(self, row: int) -> int:
        rank, _ = rank_and_world_size()
        return (int(self.inputs.get('step_seed', 0)) * 0x9E3779B1 + rank * self.whole + self.first + row) % 2**63

    def cross_view_similarities(self, mismatched: bool, local_loss: bool) -> PairSimilarities:
        """Cosines of z^a and z^b over the global batch, computed once for all objectives that ask alike.

        Raises:
            ValueError: the items do not have exactly two texts.
        """
        if self.P != 2:
            raise ValueError(f'cross-view objectives need two texts an image, source "{self.source}" has {self.P}')
        key = ('cross_view', mismatched, local_loss)
        if key not in self._cache:
            z = self.fused_embeddings_BPE
            wrong = self.wrong_text_embeddings_BPE if mismatched else None
            self._cache[key] = pair_similarities(
                z[:, 0],
                z[:, 1],
                None if wrong is None else wrong[:, :1],
                None if wrong is None else wrong[:, 1:],
                local_loss=local_loss,
            )
        return self._cache[key]

    # -- masked words

    def masked(self, kind: str) -> dict[str, Any]:
        """Masked inputs: `ids` and `mask` (B, T), flat `positions` (K,), their `labels` (K,), `lengths` and `counts`.

        Args:
            kind: `masked_single` (one text an item) or `masked_pair` (both texts in one sequence).

        Raises:
            KeyError: the data pipeline did not mask this kind.
        """
        try:
            return self.inputs[kind]
        except KeyError:
            name = kind.removeprefix('masked_')
            raise KeyError(
                f'batches of source "{self.source}" carry no masked {name} texts; add '
                f'`dict(type=MaskTokens, kinds=("{name}",))` to its pipeline'
            ) from None

    def masked_states_KD(self, kind: str, with_image: bool) -> Tensor:
        """States at the masked positions: of the fusion head, or of the text encoder alone."""
        masked, states = self.masked(kind), self._text_states(kind)
        if not with_image:
            return states.flatten(0, 1).index_select(0, masked['positions'])
        # A pair sees what its first text's view sees; a single text likewise.
        visible = self.visual.visible_BV(self.view_forms[0])[:, None]
        return self.model.fusion(
            states[:, None],
            masked['mask'][:, None],
            self.visual_memory,
            visible,
            lengths=masked.get('lengths'),
            at=(masked['positions'], masked['counts']),
        )

    def word_loss(self, kind: str, with_image: bool) -> tuple[Tensor, Tensor]:
        """Summed cross-entropy of the masked words, and how many are told right."""
        hidden_KD = self.masked_states_KD(kind, with_image)
        return self.model.word_loss(hidden_KD, self.masked(kind)['labels'], with_image, self.tie)


def _interleave(lengths: Sequence[list[int] | None], items: int) -> list[int] | None:
    """Lengths of several kinds of texts, each a list by item -> one list, all kinds of the first item first."""
    known = [part for part in lengths if part is not None]
    if len(known) < len(lengths):
        return None
    n = len(known[0]) // items
    return [length for item in range(items) for part in known for length in part[item * n : (item + 1) * n]]
