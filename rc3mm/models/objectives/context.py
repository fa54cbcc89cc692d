"""The views of one batch, each computed at most once a step, whoever asks for it.

Shapes: B images (or text pairs) on this process, P texts an image, T text tokens, V visual tokens, D width of the
fusion head, E width of the embeddings, K masked positions. Text row (i, k) of a batch is row i * P + k.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from rc3mm.models.layers import draw_masked_regions
from rc3mm.models.losses import PairSimilarities, pair_similarities
from rc3mm.structures import VisualForm, VisualTokens, VLDataSample
from rc3mm.utils.dist import rank_and_world_size

__all__ = ['BatchContext', 'ContextModel']


class ContextModel(Protocol):
    """What a context needs of a model; `RC3` provides it."""

    text_encoder: nn.Module
    fusion: nn.Module
    tau_towers: Callable[[], Tensor]
    tau_fused: Callable[[], Tensor]

    def encode_visual(self, inputs: dict[str, Any], forms: Sequence[VisualForm]) -> VisualTokens: ...

    def embed_image(self, visual: VisualTokens, form: VisualForm) -> Tensor: ...

    def embed_regions(self, features_BRF: Tensor, boxes_BR4: Tensor) -> Tensor: ...

    def embed_text(self, states_MTD: Tensor, mask_MT: Tensor) -> Tensor: ...

    def embed_fused(self, hidden: Tensor) -> Tensor: ...

    def lm_logits(self, hidden_KD: Tensor, fused: bool) -> Tensor: ...


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
    """

    def __init__(
        self,
        model: ContextModel,
        inputs: dict[str, Any],
        data_samples: Sequence[VLDataSample],
        view_forms: Sequence[VisualForm] = (),
        negatives_within: int | None = None,
        uniform_negatives: bool = False,
    ) -> None:
        self.model = model
        self.inputs = inputs
        self.data_samples = data_samples
        self.view_forms = tuple(view_forms)
        self.negatives_within = negatives_within
        self.uniform_negatives = uniform_negatives
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

    @cached_property
    def text_states_BPTD(self) -> Tensor:
        """Text encoder states of all texts, from one stacked call."""
        ids, mask = self.inputs['text_ids'], self.inputs['text_mask']
        states = self.model.text_encoder(ids, mask, self.inputs.get('text_lengths'))
        return states.view(self.B, self.P, ids.shape[1], -1)

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
    def fused_BPD(self) -> Tensor:
        """h(i, t): the pooled visio-textual representation of each image with each of its own texts."""
        return self.model.fusion(
            self.text_states_BPTD, self.text_mask_BPT, self.visual.tokens_BVD, self.visible_BPV, pooled=True
        )

    @cached_property
    def fused_embeddings_BPE(self) -> Tensor:
        """z(i, t), unit length."""
        return self.model.embed_fused(self.fused_BPD)

    @cached_property
    def hard_negatives(self) -> tuple[Tensor, Tensor]:
        """Indices of a wrong text for each (image, view) and of a wrong image for each (text, view), both (B, P).

        Drawn with probability softmax(similarity of the towers / tau) among the other items of the block (ALBEF), or
        uniformly; items with the same image id are never each other's negatives.
        """
        block = self.negatives_within or self.B
        if self.B % block or block < 2:
            raise ValueError(
                f'hard negatives come from blocks of {block} items, which must be at least 2 and divide the '
                f'per-process batch of {self.B}'
            )
        with torch.no_grad():
            image, text = self.image_embeddings_BPE.float(), self.text_embeddings_BPE.float()
            similarity = torch.einsum('bpe,cpe->pbc', image, text) / self.model.tau_towers()
            if self.uniform_negatives:
                similarity = torch.zeros_like(similarity)
            ids = [sample.image_id for sample in self.data_samples]
            codes = torch.tensor([ids.index(name) for name in ids], device=image.device)
            position = torch.arange(self.B, device=image.device)
            allowed = (codes[:, None] != codes) & (position[:, None] // block == position // block)
            # An item whose whole block shares its image id has no true negative; its neighbour must do.
            lonely = ~allowed.any(1)
            allowed[lonely, (position[lonely] // block) * block + (position[lonely] + 1) % block] = True
            noise = self._gumbel((2, self.P, self.B, block)).to(image.device)
            offset = (position // block * block)[:, None] + torch.arange(block, device=image.device)
            wrong_text = self._sample(similarity, allowed, noise[0], offset)
            wrong_image = self._sample(similarity.transpose(1, 2), allowed, noise[1], offset)
        return wrong_text, wrong_image

    @staticmethod
    def _sample(similarity_PBB: Tensor, allowed_BB: Tensor, noise_PBG: Tensor, columns_BG: Tensor) -> Tensor:
        scores = similarity_PBB.masked_fill(~allowed_BB, -torch.inf)
        in_block = scores.gather(2, columns_BG.expand(len(scores), -1, -1)) + noise_PBG
        return columns_BG.expand_as(in_block).gather(2, in_block.argmax(2, keepdim=True)).squeeze(2).T

    def _gumbel(self, shape: tuple[int, int, int, int]) -> Tensor:
        # Drawn for the global batch on every rank, so that the split over processes changes nothing.
        rank, world_size = rank_and_world_size()
        generator = torch.Generator().manual_seed(int(self.inputs.get('step_seed', 0)))
        rows = shape[2]
        uniform = torch.rand((shape[0], shape[1], rows * world_size, shape[3]), generator=generator)
        uniform = uniform[:, :, rank * rows : (rank + 1) * rows].clamp(1e-10, 1 - 1e-7)
        return -(-uniform.log()).log()

    @cached_property
    def wrong_text_BPD(self) -> Tensor:
        """h(i, t_j): each image with a mismatched text in each view, seen in the view's own form."""
        wrong_text, _ = self.hard_negatives
        rows = (wrong_text * self.P + torch.arange(self.P, device=wrong_text.device)).flatten()
        states, mask = self.text_states_BPTD, self.text_mask_BPT
        return self.model.fusion(
            states.flatten(0, 1).index_select(0, rows).view(states.shape),  # repeatable, see VisualTokens.select
            mask.flatten(0, 1).index_select(0, rows).view(mask.shape),
            self.visual.tokens_BVD,
            self.visible_BPV,
            pooled=True,
        )

    @cached_property
    def wrong_text_embeddings_BPE(self) -> Tensor:
        """z(i, t_j), unit length."""
        return self.model.embed_fused(self.wrong_text_BPD)

    @cached_property
    def wrong_image_BD(self) -> Tensor:
        """h(j, t_i): the first text of each item with a mismatched image."""
        wrong = self.hard_negatives[1][:, 0]
        visual = self.visual.select(wrong)
        return self.model.fusion(
            self.text_states_BPTD[:, :1],
            self.text_mask_BPT[:, :1],
            visual.tokens_BVD,
            visual.visible_BV(self.view_forms[0])[:, None],
            pooled=True,
        )[:, 0]

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
        visual = self.visual  # finds the regions, if they do not come with the batch
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
            torch.cat([visual.tokens_BVD[:, : real.shape[1]], queries], 1),
            torch.cat([real & ~hidden, seen], 1)[:, None],
            queries_BPQD=queries[:, None],
            query_mask_BPQ=asked[:, None],
        )[:, 0, -most:]
        rows, columns = asked.nonzero(as_tuple=True)
        return states.flatten(0, 1).index_select(0, rows * most + columns), rows, place[rows, columns]

    def _row_seed(self, row: int) -> int:
        rank, _ = rank_and_world_size()
        return (int(self.inputs.get('step_seed', 0)) * 0x9E3779B1 + rank * self.B + row) % 2**63

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
        """Masked inputs: `ids` and `mask` (B, T), flat `positions` (K,), their `labels` (K,) and the rows' `lengths`.

        Args:
            kind: `single` (one text an item) or `pair` (both texts in one sequence).

        Raises:
            KeyError: the data pipeline did not mask this kind.
        """
        try:
            return self.inputs[f'masked_{kind}']
        except KeyError:
            raise KeyError(
                f'batches of source "{self.source}" carry no masked {kind} texts; add '
                f'`dict(type=MaskTokens, kinds=("{kind}",))` to its pipeline'
            ) from None

    def masked_states_KD(self, kind: str, with_image: bool) -> Tensor:
        """States at the masked positions: of the fusion head, or of the text encoder alone."""
        masked = self.masked(kind)
        ids, mask = masked['ids'], masked['mask']
        states = self.model.text_encoder(ids, mask, masked.get('lengths'))
        if with_image:
            # A pair sees what its first text's view sees; a single text likewise.
            visible = self.visual.visible_BV(self.view_forms[0])[:, None]
            states = self.model.fusion(states[:, None], mask[:, None], self.visual.tokens_BVD, visible)[:, 0]
        return states.flatten(0, 1).index_select(0, masked['positions'])
