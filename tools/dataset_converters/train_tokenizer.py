"""Train the small tokenizer that ships with EmojiScenes.

A Unigram tokenizer with the conventions of XLM-R (NFKC, metaspace, <s> 0, <pad> 1, </s> 2, <unk> 3, <mask>
last), so that code written for XLM-R's tokenizer works with this one, in a vocabulary small enough for a CPU.

The trainer of the `tokenizers` library visits its hash maps in random order. What depends on it is made
canonical here, and reruns with one thread gave the same bytes, but the library does not promise that: a rerun
gives an equivalent vocabulary, not necessarily a byte-identical one. The one that ships is the reference, and
weights trained with it may not fit another.
"""

import argparse
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from rc3mm.datasets.emoji.artefact import LANGUAGES, load_concepts
from rc3mm.datasets.emoji.captions import TEMPLATES, caption
from rc3mm.datasets.emoji.scene import SceneMaker
from rc3mm.datasets.emoji.task_texts import draw_family, task_text
from rc3mm.datasets.emoji.weak_texts import draw_mentions, weak_text

_OUT = Path(__file__).resolve().parents[2] / 'rc3mm/datasets/emoji/tokenizer'
_EPILOG = """
the corpus:
  every name and keyword of the artefact, and captions, weak texts and texts of the tasks on random training
  scenes of the first 150 concepts in all six languages; these names and some captions and texts of the tasks
  once more with a 0 behind every word, so that they become one to three pieces

example:
  python tools/dataset_converters/train_tokenizer.py            # writes rc3mm/datasets/emoji/tokenizer/
Set TOKENIZERS_PARALLELISM=false to train with one thread.
"""
_SPECIAL = ('<s>', '<pad>', '</s>', '<unk>')
_MARKED_SCENES = 500
_STOPS = ',.:;?、。'
_WORD_END = re.compile(rf'(?<=\S)(?=[\s{_STOPS}]|$)')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out-dir', type=Path, default=_OUT, help='folder to write (default: %(default)s)')
    parser.add_argument('--vocab-size', type=int, default=6000, help='pieces, special ones included (%(default)s)')
    parser.add_argument('--num-scenes', type=int, default=4000, help='scenes of each level (%(default)s)')
    parser.add_argument('--num-concepts', type=int, default=150, help='concepts of the scenes (%(default)s)')
    return parser.parse_args()


def normalizer() -> normalizers.Normalizer:
    """NFKC, and one space for any run of white space."""
    return normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r'\s+'), ' ')])


def splitter(after_stop: str = '') -> pre_tokenizers.PreTokenizer:
    """Words that start with a metaspace; punctuation stands alone.

    Args:
        after_stop: Regular expression of what goes with punctuation.
    """
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement='\u2581', prepend_scheme='always'),
            pre_tokenizers.Split(Regex(rf'\u2581?[{_STOPS}]{after_stop}'), 'isolated'),
        ]
    )


def mark_words(text: str) -> str:
    """Put a 0 behind every word and every punctuation mark that ends one.

    The trainer's candidates are the strings that occur in at least two *different* words, however frequent
    each is. A word that never occurs inside another could not become a piece without this.
    """
    return _WORD_END.sub('0', normalizer().normalize_str(text))


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
            if concept.index < num_concepts:
                yield mark_words(concept.names[language])
    for level in ('easy', 'hard'):
        maker = SceneMaker(num_concepts=num_concepts, split='train', level=level)
        for index in range(num_scenes):
            scene = maker(index)
            rng = np.random.default_rng(index)
            mentions = draw_mentions([item.concept for item in scene.objects], rng)[0]
            first, second = rng.choice(num_concepts, 2, replace=False).tolist()
            said = draw_family((first, second), level, 1, rng)[0]
            for language in LANGUAGES:
                text = caption(scene, int(rng.integers(len(TEMPLATES))), language)
                asked = task_text(said, level, language)
                yield from (text, asked)
                if index < _MARKED_SCENES:
                    yield from (mark_words(text), mark_words(asked))
                yield weak_text(mentions, language, rng)


def canonical(pieces: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Undo what depends on the random order in which the trainer visits its pieces.

    Single characters that training dropped come back with the lowest score plus 0.0001, 0.0002, ... in random
    order; here all of them get the lowest score. Scores are rounded, and pieces of one score are sorted.

    Args:
        pieces: (piece, score) as trained.

    Returns:
        (piece, score), most probable first.
    """
    lowest = min(score for _, score in pieces)
    top = lowest + 0.0001 * (1 + sum(len(piece) == 1 for piece, _ in pieces))
    scores = {piece: lowest if len(piece) == 1 and score < top else score for piece, score in pieces}
    rounded = [(piece, round(score, 6)) for piece, score in scores.items()]
    return sorted(rounded, key=lambda item: (-item[1], item[0]))


def build(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Train the tokenizer.

    Args:
        texts: The training text.
        vocab_size: Pieces, special ones included.

    Returns:
        The tokenizer with normaliser, decoder and post-processor.

    Raises:
        ValueError: If the text has fewer pieces than asked for.
    """
    trained = Tokenizer(models.Unigram())
    trained.normalizer = normalizer()
    trained.pre_tokenizer = splitter(after_stop='0?')
    # With the library's 2 rounds of EM before each pruning, good pieces go before their scores have settled.
    trainer = trainers.UnigramTrainer(
        vocab_size=vocab_size - 1,
        special_tokens=list(_SPECIAL),
        unk_token='<unk>',
        n_sub_iterations=8,
        show_progress=False,
    )
    trained.train_from_iterator(texts, trainer)
    if trained.get_vocab_size() != vocab_size - 1:
        raise ValueError(f'the text gives only {trained.get_vocab_size() + 1} pieces; set --vocab-size to that or less')
    vocab = json.loads(trained.to_str())['model']['vocab']
    pieces = canonical([(piece, score) for piece, score in vocab[len(_SPECIAL) :]])
    tokenizer = Tokenizer(models.Unigram([*((token, 0.0) for token in _SPECIAL), *pieces], unk_id=3))
    tokenizer.normalizer = normalizer()
    tokenizer.pre_tokenizer = splitter()
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


def mean_lengths(tokenizer: Tokenizer, texts: list[str]) -> str:
    """Mean and greatest number of pieces of some texts, to read."""
    lengths = [len(encoding.ids) for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]
    return f'{np.mean(lengths):.2f} (at most {max(lengths)})'


def main() -> None:
    """Train, save and print how long the texts become."""
    args = parse_args()
    tokenizer = build(corpus(args.num_scenes, args.num_concepts), args.vocab_size)
    save(tokenizer, args.out_dir)
    print(f'{tokenizer.get_vocab_size()} pieces; pieces a name, a caption of easy and of hard test scenes:')
    for language in LANGUAGES:
        columns = [[concept.names[language] for concept in load_concepts()[: args.num_concepts]]]
        for level in ('easy', 'hard'):
            maker = SceneMaker(num_concepts=args.num_concepts, split='test', level=level)
            columns.append([caption(maker(index), index % len(TEMPLATES), language) for index in range(300)])
        print(f'{language}: ' + ', '.join(mean_lengths(tokenizer, texts) for texts in columns))


if __name__ == '__main__':
    main()
