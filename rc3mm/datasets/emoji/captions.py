"""Captions in six languages, exact translations of each other by construction.

Names stand in lists after a colon, never in a sentence: so gender, case, articles, plurals and counters never
arise, and a caption says the same in every language.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rc3mm.datasets.emoji.artefact import load_concepts
from rc3mm.datasets.emoji.scene import Scene


@dataclass(frozen=True)
class Wording:
    """The fixed words of one language.

    Attributes:
        picture: Opening of a list of names.
        shown: Another opening.
        count: Opening of a number.
        listing: Opening of a list that follows a number.
        colon: What stands between an opening and what follows.
        comma: What stands between names.
        stop: What ends a statement.
        gap: What stands between statements.
        corners: The four quarters of the picture, row by row.
        thirds: The nine ninths of the picture, row by row.
    """

    picture: str
    shown: str
    count: str
    listing: str
    colon: str
    comma: str
    stop: str
    gap: str
    corners: tuple[str, ...]
    thirds: tuple[str, ...]


WORDINGS: dict[str, Wording] = {
    'en': Wording(
        'In the picture',
        'Shown',
        'Number of emoji',
        'List',
        ': ',
        ', ',
        '.',
        ' ',
        ('Top left', 'Top right', 'Bottom left', 'Bottom right'),
        (
            'Top left',
            'Top centre',
            'Top right',
            'Centre left',
            'Centre',
            'Centre right',
            'Bottom left',
            'Bottom centre',
            'Bottom right',
        ),
    ),
    'de': Wording(
        'Im Bild',
        'Zu sehen',
        'Anzahl der Emojis',
        'Liste',
        ': ',
        ', ',
        '.',
        ' ',
        ('Oben links', 'Oben rechts', 'Unten links', 'Unten rechts'),
        (
            'Oben links',
            'Oben in der Mitte',
            'Oben rechts',
            'Links in der Mitte',
            'In der Mitte',
            'Rechts in der Mitte',
            'Unten links',
            'Unten in der Mitte',
            'Unten rechts',
        ),
    ),
    'fr': Wording(
        'Sur l’image',
        'À voir',
        'Nombre d’émojis',
        'Liste',
        '\u00a0: ',
        ', ',
        '.',
        ' ',
        ('En haut à gauche', 'En haut à droite', 'En bas à gauche', 'En bas à droite'),
        (
            'En haut à gauche',
            'En haut au milieu',
            'En haut à droite',
            'Au milieu à gauche',
            'Au centre',
            'Au milieu à droite',
            'En bas à gauche',
            'En bas au milieu',
            'En bas à droite',
        ),
    ),
    'cs': Wording(
        'Na obrázku',
        'Zobrazeno',
        'Počet emoji',
        'Seznam',
        ': ',
        ', ',
        '.',
        ' ',
        ('Vlevo nahoře', 'Vpravo nahoře', 'Vlevo dole', 'Vpravo dole'),
        (
            'Vlevo nahoře',
            'Uprostřed nahoře',
            'Vpravo nahoře',
            'Uprostřed vlevo',
            'Uprostřed',
            'Uprostřed vpravo',
            'Vlevo dole',
            'Uprostřed dole',
            'Vpravo dole',
        ),
    ),
    'ja': Wording(
        '画像の中',
        '描かれているもの',
        '絵文字の数',
        '一覧',
        '：',
        '、',
        '。',
        '',
        ('左上', '右上', '左下', '右下'),
        ('左上', '上中央', '右上', '左中央', '中央', '右中央', '左下', '下中央', '右下'),
    ),
    'zh': Wording(
        '图中有',
        '画面内容',
        '表情符号数量',
        '列表',
        '：',
        '、',
        '。',
        '',
        ('左上', '右上', '左下', '右下'),
        ('左上', '上方', '右上', '左侧', '中间', '右侧', '左下', '下方', '右下'),
    ),
}
TEMPLATES = ('names', 'names_reversed', 'count_and_names', 'places', 'count_and_places', 'bare_names')


def names_of(concepts: Sequence[int], language: str) -> list[str]:
    """Names of concepts in a language."""
    table = load_concepts()
    return [table[concept].names[language] for concept in concepts]


def caption(scene: Scene, template: int, language: str) -> str:
    """Describe a scene.

    Args:
        scene: The scene.
        template: Index into ``TEMPLATES``. The same template in two languages gives translations.
        language: Language code.

    Returns:
        The caption; it names every object of the scene and nothing else.

    Raises:
        KeyError: If the language is unknown.
        IndexError: If the template is unknown.
    """
    words, kind = WORDINGS[language], TEMPLATES[template]
    names = names_of([item.concept for item in scene.objects], language)
    if kind == 'bare_names':
        return words.comma.join(names)
    if kind == 'names':
        return _statement(words, words.picture, words.comma.join(names))
    if kind == 'names_reversed':
        return _statement(words, words.shown, words.comma.join(reversed(names)))
    count = _statement(words, words.count, str(len(names)))
    if kind == 'count_and_names':
        return count + words.gap + _statement(words, words.listing, words.comma.join(names))
    places = words.corners if scene.level == 'easy' else words.thirds
    parts = [_statement(words, places[item.cell], name) for item, name in zip(scene.objects, names, strict=True)]
    return words.gap.join(parts if kind == 'places' else [count, *parts])


def _statement(words: Wording, opening: str, rest: str) -> str:
    """'Opening: rest.' with the language's marks."""
    return f'{opening}{words.colon}{rest}{words.stop}'
