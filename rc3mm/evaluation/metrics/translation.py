"""TranslationMetric: BLEU, chrF and METEOR by target language."""

from collections.abc import Hashable, Mapping

from mmengine.logging import print_log

from rc3mm.evaluation.functional.meteor import mean_meteor, meteor_resources
from rc3mm.evaluation.functional.translation import (
    bleu_tokenizer,
    corpus_bleu,
    corpus_chrf,
    make_bleu,
    sense_accuracy,
)
from rc3mm.evaluation.metrics.per_item import Row
from rc3mm.evaluation.metrics.per_language import PerLanguageMetric
from rc3mm.registry import METRICS

__all__ = ['TranslationMetric']


@METRICS.register_module()
class TranslationMetric(PerLanguageMetric):
    """Corpus BLEU and chrF of translations, 0..100, by sacreBLEU.

    Rows are of kind `translation` and have `language` (the target's), `item_id`, `hypothesis` and `reference`, both
    detokenised. Metric names, for a language `de` and the default prefix: `translation/de/bleu`,
    `translation/de/chrf`, `translation/de/meteor`, `translation/de/sense_accuracy` where rows have `senses` (see the
    function of that name), `translation/de/num_items`, and `translation/mean_bleu` ... over
    the languages without English. `signatures` keeps how each number of the last evaluation came about, by names
    such as `de/bleu`, on the main process; they are logged, and written
    to `results.json`.

    Args:
        tokenizers: Target language -> sacreBLEU tokenizer, where BLEU shall not use the one of `bleu_tokenizer`.
        meteor_languages: Target languages that get METEOR as well; needs NLTK, see `mean_meteor` for what it is.
        collect_device: See `BaseMetric`.
        prefix: See `BaseMetric`.
        collect_dir: See `BaseMetric`.

    Raises:
        ModuleNotFoundError: sacreBLEU, or NLTK where METEOR is asked for, is not installed: better told now than
            after the translating.
        LookupError: METEOR of English is asked for and WordNet is not there.
        ValueError: A tokenizer is unknown or lacks what it needs.
    """

    kind = 'translation'
    default_prefix = 'translation'
    required = ('hypothesis', 'reference')

    def __init__(
        self,
        tokenizers: Mapping[str, str] | None = None,
        meteor_languages: tuple[str, ...] = (),
        collect_device: str = 'cpu',
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        self.tokenizers = dict(tokenizers or {})
        self.meteor_languages = tuple(meteor_languages)
        for tokenizer in {bleu_tokenizer(''), *self.tokenizers.values()}:
            make_bleu(tokenizer)
        for language in self.meteor_languages:
            meteor_resources(language)

    def checked(self, row: Row) -> Row:
        """Hypothesis and reference.

        Raises:
            ValueError: One is no string.
        """
        for key in self.required:
            if not isinstance(row[key], str):
                raise ValueError(
                    f'item {row["item_id"]!r} ({row["language"]}) has a {key} of type {type(row[key]).__name__}; '
                    'it must be a string: decode token ids first'
                )
        senses = {'senses': tuple(row['senses'])} if row.get('senses') else {}
        return {key: row[key] for key in self.required} | senses

    def verdict(self, row: Row) -> Hashable:
        """The translation."""
        return row['hypothesis']

    def tables(self, rows_of: Mapping[str, list[Row]]) -> dict[str, dict[str, float]]:
        """Scores and counts of each language; keeps and logs the signatures."""
        self.signatures = {}
        return {language: self._table(language, rows) for language, rows in rows_of.items()}

    def _table(self, language: str, rows: list[Row]) -> dict[str, float]:
        hypotheses = [row['hypothesis'] for row in rows]
        references = [row['reference'] for row in rows]
        scores = {
            'bleu': corpus_bleu(hypotheses, references, self.tokenizers.get(language, bleu_tokenizer(language))),
            'chrf': corpus_chrf(hypotheses, references),
        }
        if language in self.meteor_languages:
            scores['meteor'] = mean_meteor(hypotheses, references, language)
        more: dict[str, float] = {'num_items': len(rows)}
        if all('senses' in row for row in rows):
            more = {'sense_accuracy': sense_accuracy(hypotheses, [row['senses'] for row in rows]), **more}
        for name, score in scores.items():
            self.signatures[f'{language}/{name}'] = score.signature
            print_log(f'{self.prefix}/{language}/{name}: {score.signature}', logger='current')
        return {name: score.value for name, score in scores.items()} | more
