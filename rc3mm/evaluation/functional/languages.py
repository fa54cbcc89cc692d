"""Averaging over languages: the pivot language never flatters the mean."""

from collections.abc import Iterable, Mapping

__all__ = ['LANGUAGES', 'PIVOT', 'mean_without_pivot', 'sort_languages']

PIVOT = 'en'
LANGUAGES = (PIVOT, 'de', 'fr', 'cs', 'ja', 'zh')


def sort_languages(languages: Iterable[str]) -> list[str]:
    """The project's six languages in their usual order, then all others alphabetically; each once."""
    found = set(languages)
    return [lang for lang in LANGUAGES if lang in found] + sorted(found - set(LANGUAGES))


def mean_without_pivot(values: Mapping[str, float]) -> float | None:
    """Mean over languages without English, or None where English is all there is.

    Models are tuned or selected on English, so its number is no zero-shot number and stays out of the mean.
    """
    others = [value for language, value in values.items() if language != PIVOT]
    return sum(others) / len(others) if others else None
