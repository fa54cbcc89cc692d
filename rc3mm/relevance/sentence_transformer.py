"""Textual relevance by a frozen multilingual sentence encoder, such as LaBSE or multilingual E5."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from huggingface_hub import get_hf_file_metadata, hf_hub_url

from rc3mm.registry import RELEVANCE_SCORERS
from rc3mm.relevance.base import RelevanceScorer, Text
from rc3mm.relevance.calibration import Calibration

__all__ = ['SentenceTransformerRelevance']

_TIMEOUT = 5.0  # seconds to wait for the hub
_OFFLINE = ('HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE')


@RELEVANCE_SCORERS.register_module()
class SentenceTransformerRelevance(RelevanceScorer):
    """Relevance of two texts by the cosine of their sentence vectors.

    Args:
        model: name on the Hugging Face hub (`sentence-transformers/LaBSE`, `intfloat/multilingual-e5-base`) or a
            local folder of a sentence-transformers model. Weights are safetensors, and no code of a model runs.
        prefix: put before every text; the E5 family wants 'query: '.
        batch_size: texts a pass; texts of like length go together.
        device: such as 'cpu' or 'cuda:1'; None for a GPU if there is one.
        dtype: of weights and activations; the halves need a GPU to pay.
        max_length: tokens after which a text is cut; None for the model's own limit.
        calibration: similarities of random and translated texts, as `Calibration.to_json` gives them; None to
            `calibrate` later.

    Raises:
        ModuleNotFoundError: sentence-transformers is not installed.
        OSError: the model is not there and cannot be fetched.
        ValueError: the folder holds no sentence-transformers model.
    """

    def __init__(
        self,
        model: str,
        prefix: str = '',
        batch_size: int = 64,
        device: str | None = None,
        dtype: Literal['float32', 'float16', 'bfloat16'] = 'float32',
        max_length: int | None = None,
        calibration: Mapping[str, float] | None = None,
    ) -> None:
        self.model_name, self.prefix, self.batch_size, self.dtype = model, prefix, batch_size, dtype
        self.encoder = _open(model, device, getattr(torch, dtype))
        if max_length is not None:
            self.encoder.max_seq_length = max_length
        self.calibration = None if calibration is None else Calibration.from_json(calibration)

    @property
    def config(self) -> dict[str, Any]:
        """What decides on the vectors."""
        return {
            'type': type(self).__name__,
            'model': self.model_name,
            'prefix': self.prefix,
            'dtype': self.dtype,
            'max_length': self.encoder.max_seq_length,
        }

    def encode(self, texts: Sequence[Text]) -> np.ndarray:
        """Unit-length sentence vectors of texts, float32 (number of texts, dim); languages are not looked at."""
        if not texts:
            return np.zeros((0, 0), np.float32)
        vectors = self.encoder.encode(
            [self.prefix + text for _, text in texts],
            batch_size=self.batch_size,
            show_progress_bar=False,
        ).astype(np.float32)
        # Here and not in the encoder, where half precision would leave lengths that differ by 1 %.
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)

    def compare(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Cosines of unit vectors, row by row."""
        return np.einsum('nd,nd->n', first, second)


def _open(model: str, device: str | None, dtype: torch.dtype) -> Any:
    """A `SentenceTransformer` in evaluation mode."""
    folder = Path(model)
    if folder.is_dir() and not (folder / 'modules.json').is_file():
        raise ValueError(
            f'{folder} holds no sentence-transformers model: there is no modules.json, which says how token vectors '
            'become a sentence vector'
        )
    try:
        from sentence_transformers import SentenceTransformer
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'SentenceTransformerRelevance needs the package sentence-transformers: pip install sentence-transformers'
        ) from error
    # A model in the cache is taken without asking the hub; only what is missing is fetched.
    offline = any(os.environ.get(name, '').lower() in ('1', 'true', 'yes', 'on') for name in _OFFLINE)
    attempts = [True] if folder.is_dir() or offline else [True, False]
    for local in attempts:
        try:
            if not local:
                _ask_hub(model)
            return SentenceTransformer(
                model,
                device=device,
                local_files_only=local,
                trust_remote_code=False,
                model_kwargs={'use_safetensors': True, 'dtype': dtype},
            ).eval()
        except OSError as error:
            reason = error
    raise OSError(
        f'the sentence encoder {model!r} is neither a folder nor in the cache of the Hugging Face hub, and it could '
        f'not be fetched ({str(reason).splitlines()[0]}). Where there is a network: hf download {model} --local-dir '
        'FOLDER; then copy FOLDER here and give its path, or take SentenceIDRelevance, which needs no download'
    ) from reason


def _ask_hub(model: str) -> None:
    """Make sure, in seconds rather than minutes, that the hub has the model.

    Raises:
        OSError: it does not have it, or cannot be reached.
    """
    try:
        get_hf_file_metadata(hf_hub_url(model, 'modules.json'), timeout=_TIMEOUT)
    except Exception as error:  # no network, a proxy, a wrong name: it cannot be had now
        raise OSError(str(error) or type(error).__name__) from error
