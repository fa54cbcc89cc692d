"""The masked-language-model head, shared by every objective that predicts words."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ['MaskedLMHead']


class MaskedLMHead(nn.Module):
    """Transform of XLM-R's head; the decoder is tied to the word embeddings, which the caller hands in.

    Args:
        width: D, of the hidden states.
        embedding_width: width of the word embeddings.
        vocab_size: number of words (its bias is a parameter here).
    """

    def __init__(self, width: int, embedding_width: int, vocab_size: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, embedding_width)
        self.norm = nn.LayerNorm(embedding_width)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def embed(self, hidden: Tensor) -> Tensor:
        """What is compared with the word embeddings, (..., D) -> (..., embedding width)."""
        return self.norm(F.gelu(self.dense(hidden)))

    def forward(self, hidden: Tensor, word_embeddings: Tensor) -> Tensor:
        """Logits over the vocabulary, of positions at which they are wanted (never at all positions of a batch).

        To train, `word_cross_entropy` takes what `embed` returns, and holds no logits.

        Args:
            hidden: states, (..., D).
            word_embeddings: shape (vocabulary, embedding width).

        Returns:
            Shape (..., vocabulary).
        """
        return F.linear(self.embed(hidden), word_embeddings, self.bias)
