"""Laws of the tokenizer that ships with EmojiScenes."""

import unicodedata
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from rc3mm.datasets.emoji import artefact
from rc3mm.datasets.emoji_scenes import EmojiRetrieval

FOLDER = Path(artefact.__file__).parent / 'tokenizer'


@pytest.fixture(scope='module')
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(FOLDER, local_files_only=True)


def test_special_ids_are_those_of_xlm_r(tokenizer: PreTrainedTokenizerBase) -> None:
    assert tokenizer.convert_tokens_to_ids(['<s>', '<pad>', '</s>', '<unk>']) == [0, 1, 2, 3]
    assert (
        tokenizer.bos_token_id,
        tokenizer.cls_token_id,
        tokenizer.eos_token_id,
        tokenizer.sep_token_id,
    ) == (0, 0, 2, 2)
    assert tokenizer.pad_token_id == 1 and tokenizer.unk_token_id == 3
    assert tokenizer.mask_token == '<mask>' and tokenizer.mask_token_id == len(tokenizer) - 1
    assert len(tokenizer) == 6000  # as in configs/_base_/models/rc3_tiny.py


def test_post_processor_is_that_of_xlm_r(tokenizer: PreTrainedTokenizerBase) -> None:
    cat, dog = (tokenizer(word, add_special_tokens=False).input_ids for word in ('cat', 'dog'))
    assert tokenizer('cat').input_ids == [0, *cat, 2]
    assert tokenizer('cat', 'dog').input_ids == [0, *cat, 2, 2, *dog, 2]
    assert tokenizer('a <mask>').input_ids[-2] == tokenizer.mask_token_id


def test_every_text_of_the_artefact_survives(tokenizer: PreTrainedTokenizerBase) -> None:
    texts = sorted(
        {
            text
            for concept in artefact.load_concepts()
            for language in artefact.LANGUAGES
            for text in (concept.names[language], *concept.keywords[language])
        }
    )
    encoded = tokenizer(texts, add_special_tokens=False).input_ids
    assert not any(tokenizer.unk_token_id in ids for ids in encoded)
    assert tokenizer.batch_decode(encoded) == [unicodedata.normalize('NFKC', text) for text in texts]


@pytest.mark.parametrize('language', artefact.LANGUAGES)
def test_names_and_captions_are_short(tokenizer: PreTrainedTokenizerBase, language: str) -> None:
    names = [concept.names[language] for concept in artefact.load_concepts()[:150]]
    lengths = [len(ids) for ids in tokenizer(names, add_special_tokens=False).input_ids]
    assert max(lengths) <= 4 and sum(lengths) <= 1.2 * len(lengths)
    dataset = EmojiRetrieval(num_scenes=200, split='test', languages=(language,))
    captions = [dataset.get_sample(i)['texts'][0][1] for i in range(200)]
    assert max(len(ids) for ids in tokenizer(captions).input_ids) <= 48
