"""What score_relevance.py scores with: scorers by short forms and configs, and the pairs to calibrate them on."""

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cli import CommandLineError
from mmengine.config import Config

from rc3mm.datasets.shards import ShardSet
from rc3mm.registry import RELEVANCE_SCORERS
from rc3mm.relevance import Pair, RelevanceScorer, SentenceIDRelevance, Text
from rc3mm.relevance.sentence_id import NUM_SENTENCES

__all__ = ['STATE', 'ScorerSpec', 'read_spec', 'spread_pairs', 'text_pairs']

STATE = 'sentence_id.safetensors'  # beside the scores that it made
_TRANSFORMER_OPTIONS = ('prefix', 'batch_size', 'device', 'dtype')
_MEANS = ('batch_size', 'device')  # how a scorer works, not what comes out


class ScorerSpec:
    """A scorer as the command line names it.

    Args:
        text: what stands behind --scorer.
        name: of the scores, unless another is asked for.
        config: of the scorer, in types of JSON; corpora that are shard sets are named by their folders.

    Attributes:
        identity: the config without what may differ between two runs that go on with each other's scores.
    """

    def __init__(self, text: str, name: str, config: dict[str, Any]) -> None:
        self.text, self.name, self.config = text, name, config
        self.identity = {key: value for key, value in config.items() if key not in _MEANS}

    def build(self, state: Path | None = None) -> RelevanceScorer:
        """The scorer.

        Args:
            state: where a SentenceIDRelevance that was fitted before is kept; None to fit.

        Raises:
            ValueError: the corpus does not do, or there is no such scorer or argument.
            OSError: a model or a corpus is not there.
        """
        config = dict(self.config)
        if state is not None:
            config = {'type': config['type'], 'state': str(state)}
        for key in ('corpus', 'weak_corpus'):
            if isinstance(config.get(key), str):
                shards = ShardSet(config[key])
                most = config.get('num_sentences', NUM_SENTENCES)
                config[key] = list(_spread_texts(shards, most, strict=key == 'corpus'))
        try:
            return RELEVANCE_SCORERS.build(config)
        except (KeyError, TypeError) as error:
            raise ValueError(f'--scorer {self.text}: {error.args[0]}') from error

    @property
    def keeps_state(self) -> bool:
        """Whether it is fitted here, and so best kept beside its scores."""
        return self.config['type'].rpartition('.')[2] == SentenceIDRelevance.__name__ and 'state' not in self.config


def read_spec(args: argparse.Namespace) -> ScorerSpec:
    """The scorer that the command line names.

    Raises:
        CommandLineError: it is no short form and no config, or an option does not go with it.
    """
    kind, _, rest = args.scorer.partition(':')
    given = {name: getattr(args, name) for name in _TRANSFORMER_OPTIONS if getattr(args, name) is not None}
    if given and kind != 'sentence_transformer':
        option = next(iter(given)).replace('_', '-')
        raise CommandLineError(f'--{option} goes with --scorer sentence_transformer:... only; a config has its own')
    if kind == 'sentence_transformer' and rest:
        return ScorerSpec(
            args.scorer,
            Path(rest).name.lower(),
            {'type': 'SentenceTransformerRelevance', 'model': rest, **given},
        )
    if kind == 'sentence_id' and rest.endswith('.safetensors'):
        return ScorerSpec(args.scorer, kind, {'type': 'SentenceIDRelevance', 'state': rest})
    if kind == 'sentence_id' and rest:
        strict, _, weak = rest.partition(',')
        config = {'type': 'SentenceIDRelevance', 'corpus': strict, 'num_sentences': args.num_sentences}
        return ScorerSpec(args.scorer, kind, {**config, 'weak_corpus': weak} if weak else config)
    if kind.endswith('.py'):
        return _from_config(args.scorer, Path(kind), rest or 'scorer')
    raise CommandLineError(
        f'--scorer {args.scorer} is none of sentence_id:STRICT_SHARDS[,WEAK_SHARDS], sentence_id:FILE.safetensors, '
        'sentence_transformer:NAME_OR_FOLDER, CONFIG.py[:KEY.PATH]'
    )


def _from_config(text: str, path: Path, key: str) -> ScorerSpec:
    if not path.is_file():
        raise CommandLineError(f'--scorer: there is no config file {path}')
    node: Any = Config.fromfile(path).to_dict()
    for part in key.split('.'):
        node = node.get(part) if isinstance(node, dict) else None
    if not isinstance(node, dict) or 'type' not in node:
        raise CommandLineError(f'--scorer: {path} has no scorer = dict(type=...) under {key!r}; write {path}:KEY.PATH')
    return ScorerSpec(text, key.rpartition('.')[2], json.loads(json.dumps(node, default=_name)))


def _name(value: Any) -> str:
    """Name of a class in a config, as registries take it."""
    return f'{value.__module__}.{value.__qualname__}'


# -- texts of shard sets


def text_pairs(texts: Sequence[Text], same_language: bool) -> list[tuple[int, int]]:
    """Positions of the pairs of an image's texts that are scored: those in different languages, or all."""
    return [
        (first, second)
        for second in range(len(texts))
        for first in range(second)
        if same_language or texts[first][0] != texts[second][0]
    ]


def spread_pairs(shards: ShardSet, count: int, same_language: bool = False, seed: int = 0) -> list[Pair]:
    """One pair of texts each of rows spread evenly over a set, chosen at random in the row.

    Args:
        shards: the set.
        count: how many rows are looked at, at most.
        same_language: pairs within a language do as well.
        seed: chooses the pairs.
    """
    rng = random.Random(seed)
    found = []
    for texts in _spread(shards, count):
        if pairs := text_pairs(texts, same_language):
            first, second = pairs[rng.randrange(len(pairs))]
            pair = texts[first], texts[second]
            found.append(pair if rng.random() < 0.5 else pair[::-1])
    return found


def _spread(shards: ShardSet, count: int) -> Iterator[Sequence[Text]]:
    count = min(count, len(shards))
    for number in range(count):
        yield shards.texts(number * len(shards) // count)


def _spread_texts(shards: ShardSet, count: int, strict: bool) -> Iterator[Sequence[Text]]:
    """Texts of rows spread evenly; of a strict set, rows in several languages, two of which come first."""
    rng = random.Random(0)
    for texts in _spread(shards, count):
        if not strict:
            yield texts
        elif pairs := text_pairs(texts, same_language=False):
            pair = pairs[rng.randrange(len(pairs))]
            yield [texts[k] for k in (*pair, *(k for k in range(len(texts)) if k not in pair))]
