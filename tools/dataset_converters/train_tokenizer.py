"""Train the small tokenizer that ships with EmojiScenes.

A Unigram tokenizer with the conventions of XLM-R (NFKC, metaspace, <s> 0, <pad> 1, </s> 2, <unk> 3, <mask>
last), so that code written for XLM-R's tokenizer works with this one, in a vocabulary small enough for a CPU.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast
from unigram import train_pieces

from rc3mm.datasets.emoji.artefact import LANGUAGES, load_concepts
from rc3mm.datasets.emoji.captions import TEMPLATES, caption
from rc3mm.datasets.emoji.scene import SceneMaker
from rc3mm.datasets.emoji.weak_texts import draw_mentions, weak_text

_OUT = Path(__file__).resolve().parents[2] / 'rc3mm/datasets/emoji/tokenizer'
_EPILOG = """
the corpus:
  every name and keyword of the artefact, and captions and weak texts of random training scenes of the first
  150 concepts in all six languages, so that these concepts' names become one to three pieces

example:
  python tools/dataset_converters/train_tokenizer.py            # writes rc3mm/datasets/emoji/tokenizer/
The same call writes the same bytes again.
"""
_SPECIAL = ('<s>', '<pad>', '</s>', '<unk>')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out-dir', type=Path, default=_OUT, help='folder to write (default: %(default)s)')
    parser.add_argument(
        '--vocab-size', type=int, default=6000, help='pieces, special ones included (%(default)s)'
    )
    parser.add_argument('--num-scenes', type=int, default=4000, help='scenes of each level (%(default)s)')
    parser.add_argument('--num-concepts', type=int, default=150, help='concepts of the scenes (%(default)s)')
    return parser.parse_args()


def corpus(num_scenes: int, num_concepts: int) -> Iterator[str]:
    """Yield the training text.

    Args:
        num_scenes: Scenes of each level.
        num_concepts: Concepts of the scenes.
    """
    for concept in load_concepts():
        for language in LANGUAGES:
            for _ in range(20 if concept.index < num_concepts else 2):
                yield concept.names[language]
            yield from concept.keywords[language]
    for level in ('easy', 'hard'):
        maker = SceneMaker(num_concepts=num_concepts, split='train', level=level)
        for index in range(num_scenes):
            scene = maker(index)
            rng = np.random.default_rng(index)
            mentions = draw_mentions([item.concept for item in scene.objects], rng)[0]
            for language in LANGUAGES:
                yield caption(scene, int(rng.integers(len(TEMPLATES))), language)
                yield weak_text(mentions, language, rng)


def build(texts: Iterator[str], vocab_size: int) -> Tokenizer:
    """Train the tokenizer.

    Args:
        texts: The training text.
        vocab_size: Pieces, special ones included.

    Returns:
        The tokenizer with normaliser, decoder and post-processor.
    """
    normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r'\s+'), ' ')])
    splitter = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement='\u2581', prepend_scheme='always'),
            pre_tokenizers.Split(Regex(r'\u2581?[,.:;、。]'), 'isolated'),
        ]
    )
    words: Counter[str] = Counter()
    for text in texts:
        words.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    pieces = train_pieces(words, vocab_size - len(_SPECIAL) - 1)
    tokenizer = Tokenizer(models.Unigram([*((token, 0.0) for token in _SPECIAL), *pieces], unk_id=3))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.Metaspace(replacement='\u2581', prepend_scheme='always')
    tokenizer.add_special_tokens(list(_SPECIAL))
    mask = AddedToken('<mask>', lstrip=True, special=True, normalized=False)
    tokenizer.add_special_tokens([mask])
    tokenizer.post_processor = processors.TemplateProcessing(
        single='<s> $A </s>', pair='<s> $A </s> </s> $B </s>', special_tokens=[('<s>', 0), ('</s>', 2)]
    )
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """Save in the Hugging Face format, for ``AutoTokenizer.from_pretrained(folder)``."""
    mask = AddedToken('<mask>', lstrip=True, special=True, normalized=False)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token='<s>',
        eos_token='</s>',
        sep_token='</s>',
        cls_token='<s>',
        unk_token='<unk>',
        pad_token='<pad>',
        mask_token=mask,
        model_max_length=512,
        model_input_names=['input_ids', 'attention_mask'],
        clean_up_tokenization_spaces=False,
    )
    wrapped.save_pretrained(folder)
    path = folder / 'tokenizer_config.json'
    config = json.loads(path.read_text(encoding='utf-8'))
    config['tokenizer_class'] = 'PreTrainedTokenizerFast'
    path.write_text(json.dumps(config, indent=1, sort_keys=True, ensure_ascii=False) + '\n', encoding='utf-8')


def main() -> None:
    """Train, save and print how long the texts become."""
    args = parse_args()
    tokenizer = build(corpus(args.num_scenes, args.num_concepts), args.vocab_size)
    save(tokenizer, args.out_dir)
    print(f'{tokenizer.get_vocab_size()} pieces')
    for language in LANGUAGES:
        names = [concept.names[language] for concept in load_concepts()[: args.num_concepts]]
        lengths = [len(tokenizer.encode(name, add_special_tokens=False).ids) for name in names]
        print(f'{language}: {np.mean(lengths):.2f} pieces a name, {max(lengths)} at most')


if __name__ == '__main__':
    main()
