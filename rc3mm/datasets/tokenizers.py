"""Tokenizers by name: one instance a process, shared by all transforms."""

from functools import lru_cache
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

__all__ = ['EMOJI_TOKENIZER', 'load_tokenizer']

EMOJI_TOKENIZER = Path(__file__).parent / 'emoji' / 'tokenizer'


@lru_cache(maxsize=8)
def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """A Hugging Face tokenizer.

    Args:
        name: `emoji` (the one that ships), a local folder, or a hub name such as `xlm-roberta-base`.

    Raises:
        FileNotFoundError: it can be neither found on this disk nor fetched.
    """
    source = str(EMOJI_TOKENIZER) if name == 'emoji' else name
    try:
        return AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f'the tokenizer "{name}" could be neither found on this disk nor fetched. Download it where '
            f'there is a network (`hf download {name} --local-dir weights/text`) and set `tokenizer` to that '
            f'folder. ({str(error).splitlines()[0]})'
        ) from error
