"""Answers as text: a closed list is ranked by how likely a decoder finds each answer.

Shapes: B items, T text tokens, C answers, L tokens of an answer, k answers of each item that are ranked in full,
K tokens to be told, D fusion width.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rc3mm.models.encoders.text_decoder import DecoderMemory
from rc3mm.models.layers.decoding import stable_topk
from rc3mm.models.tasks.text_decoding import TextDecodingModel
from rc3mm.registry import FUNCTIONS, MODELS
from rc3mm.structures import VisualForm, VLDataSample

__all__ = ['VLAnswerRanker']


@MODELS.register_module()
class VLAnswerRanker(TextDecodingModel):
    """Says how likely each answer of a closed list is, token by token, as ALBEF, BLIP and CCLM do (Li et al. 2021).

    Another head for what `VLClassifier` does: it reads the same batches and predicts the same things. Training makes
    the right answer likely. Prediction has two stages: the `top_k` answers whose first token is likeliest are chosen,
    and the likelihood of their whole strings ranks them.

    Args:
        decoder: see `TextDecodingModel`.
        tokenizer: of questions and answers, see `load_tokenizer`.
        answers: the answers in the order of the labels, or a config of a function that gives them, such as
            `read_answer_labels`.
        top_k: k; None ranks all answers.
        **backbone: see `VisionLanguageModel`.

    Raises:
        ValueError: fewer than two answers, two that are the same to the tokenizer, one that is longer than the
            decoder's positions, a `top_k` below 1, or a tokenizer that does not fit, see `TextDecodingModel`.
    """

    answer_ids_CL: Tensor
    answer_mask_CL: Tensor

    def __init__(
        self, decoder: dict, tokenizer: str, answers: Sequence[str] | dict, top_k: int | None = 128, **backbone: Any
    ) -> None:
        super().__init__(decoder, tokenizer, **backbone)
        names: Sequence[str] = FUNCTIONS.build(answers) if isinstance(answers, dict) else answers
        self.answers, self.top_k = tuple(names), top_k
        if len(self.answers) < 2 or (top_k is not None and top_k < 1):
            raise ValueError(f'needs two answers and a top_k of 1 at least, got {len(self.answers)} and {top_k}')
        rows: list[list[int]] = self.tokenizer(list(self.answers))['input_ids']
        self._check_tokens(rows, tokenizer)
        lengths_C1 = torch.tensor([[len(row)] for row in rows])
        # told by the config, so that they stay out of checkpoints
        ids_CL = pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=self.pad_id)
        self.register_buffer('answer_ids_CL', ids_CL, persistent=False)
        self.register_buffer('answer_mask_CL', torch.arange(ids_CL.shape[1]) < lengths_C1, persistent=False)

    def _check_tokens(self, rows: Sequence[Sequence[int]], tokenizer: str) -> None:
        first: dict[tuple[int, ...], str] = {}
        for answer, row in zip(self.answers, rows, strict=True):
            if (key := tuple(row)) in first:
                raise ValueError(
                    f'the answers {first[key]!r} and {answer!r} are the same to the tokenizer "{tokenizer}"; give each '
                    'answer once, and a tokenizer that tells them apart'
                )
            first[key] = answer
            if len(row) - 1 > self.decoder.max_positions:  # the end token is never read
                raise ValueError(
                    f'the answer {answer!r} has {len(row)} tokens, too many for the {self.decoder.max_positions} '
                    'positions of the decoder; raise its `max_positions`'
                )

    def encode(self, inputs: dict[str, Any], form: VisualForm) -> tuple[Tensor, Tensor]:
        """The memory, (B, T, D), and its mask, (B, T); one text and one image an item."""
        states_BTD = self.text_encoder(inputs['text_ids'], inputs['text_mask'], inputs.get('text_lengths'))
        return self.fused_memory(states_BTD, inputs['text_mask'], self.encode_visual(inputs, [form]), form)

    def preselect(self, memory: DecoderMemory) -> Tensor:
        """Labels of the answers that are ranked in full, (B, k); of equal first tokens the lower labels are taken."""
        B, C = len(memory.mask_B11S), len(self.answers)
        if self.top_k is None or self.top_k >= C:
            return torch.arange(C, device=self.answer_ids_CL.device).expand(B, C)
        start_B11 = self.answer_ids_CL[:1, :1].expand(B, 1)[..., None]
        logits_BV = self.lm_logits(self.read(start_B11, memory)[:, 0, 0]).float()
        return stable_topk(logits_BV[:, self.answer_ids_CL[:, 1]], self.top_k)[1]

    # -- the modes of `forward`

    @torch.no_grad()
    def outputs(self, inputs: dict[str, Any], form: VisualForm) -> Tensor:
        """Log probabilities of the answers among those that were preselected, (B, C); -inf for the others."""
        memory = self.decoder.read_memory(*self.encode(inputs, form))
        chosen_Bk = self.preselect(memory)
        log_p_Bk = self.likelihoods(memory, self.answer_ids_CL[chosen_Bk], self.answer_mask_CL[chosen_Bk])
        scores_BC = log_p_Bk.new_full((len(log_p_Bk), len(self.answers)), -torch.inf)
        return scores_BC.scatter(1, chosen_Bk, log_p_Bk.log_softmax(1))

    def losses(self, inputs: dict[str, Any], data_samples: list[VLDataSample]) -> dict[str, Tensor]:
        """`loss_answer`, minus the log likelihood of the right answer, and `answer_acc`; label -1 teaches nothing.

        The loss is a mean over the labelled items of the global batch, however they are spread over processes. The
        accuracy is the share of answers that greedy search over all words, not only over the list, would write.
        """
        self._check_labels(data_samples)
        (form,) = self.sample_forms(inputs, 1)
        memory = self.decoder.read_memory(*self.encode(inputs, form))
        label_B = inputs['label']
        labelled_B, row_B = label_B >= 0, label_B.clamp(min=0)
        told_Bl = self.answer_mask_CL[row_B, 1:] & labelled_B[:, None]
        logits_KV, targets_K = self.teacher_forcing(self.answer_ids_CL[row_B], told_Bl, memory)
        total = F.cross_entropy(logits_KV, targets_K, reduction='sum')
        hits_Bl = torch.ones_like(told_Bl).masked_scatter(told_Bl, logits_KV.argmax(1) == targets_K)
        right = (hits_Bl.all(1) & labelled_B).sum() / labelled_B.sum().clamp(min=1)
        return {'loss_answer': self.mean_of_global_batch(total, labelled_B.sum()), 'answer_acc': right}

    def predict(self, inputs: dict[str, Any], data_samples: list[VLDataSample], form: VisualForm) -> list[VLDataSample]:
        """The data samples with `scores` (C,), see `outputs`, and `prediction`, the best answer's label."""
        self._check_labels(data_samples)
        scores = self.outputs(inputs, form)
        for sample, row, best in zip(data_samples, scores, scores.argmax(1).tolist(), strict=True):
            sample.scores, sample.prediction = row, torch.tensor(best)
        return data_samples

    def _check_labels(self, data_samples: Sequence[VLDataSample]) -> None:
        """The dataset's labels mean what they mean here: in another order, all answers would be wrong."""
        for sample in data_samples:
            label, answer = sample.get('label', -1), sample.get('answer')
            if label < 0 or answer is None:
                continue
            mine = self.answers[label] if label < len(self.answers) else 'none'
            if mine != answer:
                raise ValueError(
                    f'{sample.image_id}: the dataset calls label {label} {answer!r}, `answers` of this model {mine!r}; '
                    "give the model the dataset's answers"
                )
