"""What the published benchmarks hold, and the oddities that are known of them.

Counts are those of the benchmarks' own files (IGLUE of 2022, Multi30K's repository) or of the papers that made them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ['Expected', 'expected_counts']


@dataclass(frozen=True)
class Expected:
    """What a language of a split holds.

    Attributes:
        texts: number of questions, sentences, captions or references; first the usual one, then others that are known.
        images: number of images, likewise.
        unlabelled: items without a gold label.
        empty: texts without any character but spaces.
        note: what to know of it.
    """

    texts: tuple[int, ...] = ()
    images: tuple[int, ...] = ()
    unlabelled: int = 0
    empty: int = 0
    note: str = ''


_Table = Mapping[str, Expected]  # by language; '*' for all others

_ONE_EMPTY = 'IGLUE keeps it, CCLM drops it'
_XFLICKRCO_EMPTY = Expected((2000, 1999), (2000, 1999), empty=1, note=_ONE_EMPTY)
_ONE_BLANK = Expected(empty=1, note='a no-break space')
_NO_GOLD = 'IGLUE counts them as wrong, CCLM leaves them out'
_FIVE_OR_ONE = 'five captions an image (task 2) or one (task 1)'
_MULTI30K = {
    'train': 29_000,
    'val': 1014,
    'test_2016_flickr': 1000,
    'test_2017_flickr': 1000,
    'test_2017_mscoco': 461,
    'test_2018_flickr': 1071,
}

_SPLITS: Mapping[tuple[str, str], _Table] = {
    ('XVNLI', 'test'): {'*': Expected((1164,), (357,), unlabelled=14, note=_NO_GOLD)},
    ('XGQA', 'test'): {'*': Expected((9666,), (300,))},
    ('XGQA', 'dev'): {'*': Expected((1422,), (50,))},
    ('XGQA', 'testdev'): {'*': Expected((12_578,), (398,))},
    ('NLVR2', 'train'): {'en': Expected((86_373,))},
    ('NLVR2', 'dev'): {'en': Expected((6982,))},
    ('NLVR2', 'test'): {'en': Expected((6967,))},
    ('MaRVL', 'test'): {
        'id': Expected((1128,)),
        'sw': Expected((1108,)),
        'ta': Expected((1242,)),
        'tr': Expected((1180,)),
        'zh': Expected((1012,)),
    },
    ('XFlickrCO', 'test'): {'*': Expected((2000,), (2000,)), 'de': _XFLICKRCO_EMPTY, 'id': _XFLICKRCO_EMPTY},
    ('Flickr30k', 'train'): {'en': Expected((145_000,), (29_000,))},
    ('Flickr30k', 'valid'): {'en': Expected((5070,), (1014,))},
    ('Flickr30k', 'test'): {'en': Expected((5000,), (1000,))},
    ('WITRetrieval', 'test'): {
        'ar': Expected(
            (890, 891), note='891 with the row whose caption is ".", removed after the scores were published'
        ),
        'el': _ONE_BLANK,
        'en': Expected((1000,), (685,)),
        'id': _ONE_BLANK,
        'ja': Expected((1000,), (842,)),
    },
    ('MSCOCORetrieval', 'train'): {'*': Expected(images=(113_287,)), 'zh': Expected(images=(18_341,))},
    ('MSCOCORetrieval', 'val'): {'*': Expected(images=(5000,)), 'zh': Expected(images=(1000,))},
    ('MSCOCORetrieval', 'test'): {'*': Expected(images=(5000,)), 'zh': Expected(images=(1000,))},
    **{
        ('Multi30kRetrieval', split): {
            **{code: Expected((5 * count, count), (count,), note=_FIVE_OR_ONE) for code in ('en', 'de')},
            '*': Expected((count,), (count,)),
        }
        for split, count in _MULTI30K.items()
        if split != 'test_2017_mscoco'  # where some images come twice, and there is no task 2
    },
    **{('Multi30kTranslation', split): {'*': Expected((count,))} for split, count in _MULTI30K.items()},
}
_MARVL_LINES: Mapping[int | str, int] = {1: 4, 2: 8, 4: 16, 10: 40, '10x2': 80}
_FEW_SHOTS: Mapping[tuple[str, int | str], Expected] = {
    # counted in 5 and 48; those between are parts of the latter
    **{
        ('XVNLI', shots): Expected(images=(shots,), unlabelled=unlabelled, note=_NO_GOLD)
        for shots, unlabelled in {1: 1, 5: 1, 10: 5, 20: 5, 25: 5, 48: 5}.items()
    },
    **{
        ('XGQA', shots): Expected((questions,), (shots,))
        for shots, questions in {1: 27, 5: 155, 10: 317, 20: 594, 25: 704, 48: 1490}.items()
    },
    **{('MaRVL', concepts): Expected((lines,)) for concepts, lines in _MARVL_LINES.items()},
    **{('XFlickrCO', shots): Expected((shots,), (shots,)) for shots in (1, 5, 10, 25, 50, 100)},
}


def expected_counts(metainfo: Mapping[str, Any]) -> dict[str, Expected]:
    """Language -> what a dataset should hold, for the languages of which something is known.

    Args:
        metainfo: of the dataset.
    """
    name, languages = metainfo['dataset_name'], metainfo['languages']
    if (shots := metainfo.get('shots')) is not None:
        known = _FEW_SHOTS.get((name, shots))
        return dict.fromkeys(languages, known) if known else {}
    if metainfo.get('fold') is not None:
        return dict.fromkeys(languages, Expected(images=(1000,)))
    table = _SPLITS.get((name, metainfo['split']), {})
    found = {language: table.get(language) or table.get('*') for language in languages}
    return {language: expected for language, expected in found.items() if expected is not None}
