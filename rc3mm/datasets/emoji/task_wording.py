"""The words of the tasks on scenes in six languages, in the manner of the captions.

Names and numbers stand after a colon and never inside a sentence, so that gender, case, articles and counters never
arise. The captions' own openings are used wherever there is one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rc3mm.datasets.emoji.captions import WORDINGS


@dataclass(frozen=True)
class TaskWording:
    """The fixed words of one language that captions do not have.

    Attributes:
        mark: What ends a question.
        what: Opening of the place whose emoji is asked for.
        where: Opening of the emoji whose place is asked for.
        how_many: The question how many emoji there are, without its mark.
        horizontal: Opening of a list from left to right.
        vertical: Opening of a list from top to bottom.
        left: Opening of what the left of two pictures shows.
        right: The same of the right one.
        both: Opening of what both pictures show.
        only_left: Opening of what the left picture alone shows.
        only_right: The same of the right one.
        together: Opening of the number of emoji in both pictures.
        more_left: The sentence that the left picture shows more emoji than the right one.
        more_right: The other way round.
    """

    mark: str
    what: str
    where: str
    how_many: str
    horizontal: str
    vertical: str
    left: str
    right: str
    both: str
    only_left: str
    only_right: str
    together: str
    more_left: str
    more_right: str


TASK_WORDINGS: dict[str, TaskWording] = {
    'en': TaskWording(
        mark='?',
        what='What',
        where='Where',
        how_many='How many emoji',
        horizontal='From left to right',
        vertical='From top to bottom',
        left='In the left picture',
        right='In the right picture',
        both='In both pictures',
        only_left='Only in the left picture',
        only_right='Only in the right picture',
        together='Number of emoji in both pictures together',
        more_left='More emoji in the left picture than in the right one.',
        more_right='More emoji in the right picture than in the left one.',
    ),
    'de': TaskWording(
        mark='?',
        what='Was',
        where='Wo',
        how_many='Wie viele Emojis',
        horizontal='Von links nach rechts',
        vertical='Von oben nach unten',
        left='Im linken Bild',
        right='Im rechten Bild',
        both='In beiden Bildern',
        only_left='Nur im linken Bild',
        only_right='Nur im rechten Bild',
        together='Anzahl der Emojis in beiden Bildern zusammen',
        more_left='Mehr Emojis im linken Bild als im rechten.',
        more_right='Mehr Emojis im rechten Bild als im linken.',
    ),
    'fr': TaskWording(
        mark='\u00a0?',
        what='Quoi',
        where='Où',
        how_many='Combien d’émojis',
        horizontal='De gauche à droite',
        vertical='De haut en bas',
        left='Sur l’image de gauche',
        right='Sur l’image de droite',
        both='Sur les deux images',
        only_left='Seulement sur l’image de gauche',
        only_right='Seulement sur l’image de droite',
        together='Nombre d’émojis sur les deux images réunies',
        more_left='Plus d’émojis sur l’image de gauche que sur celle de droite.',
        more_right='Plus d’émojis sur l’image de droite que sur celle de gauche.',
    ),
    'cs': TaskWording(
        mark='?',
        what='Co',
        where='Kde',
        how_many='Kolik emoji',
        horizontal='Zleva doprava',
        vertical='Shora dolů',
        left='Na levém obrázku',
        right='Na pravém obrázku',
        both='Na obou obrázcích',
        only_left='Jen na levém obrázku',
        only_right='Jen na pravém obrázku',
        together='Počet emoji na obou obrázcích dohromady',
        more_left='Více emoji na levém obrázku než na pravém.',
        more_right='Více emoji na pravém obrázku než na levém.',
    ),
    'ja': TaskWording(
        mark='？',
        what='何',
        where='どこ',
        how_many='絵文字はいくつ',
        horizontal='左から右へ',
        vertical='上から下へ',
        left='左の画像の中',
        right='右の画像の中',
        both='両方の画像の中',
        only_left='左の画像の中だけ',
        only_right='右の画像の中だけ',
        together='両方の画像の絵文字の数の合計',
        more_left='右の画像より左の画像の方が絵文字の数が多い。',
        more_right='左の画像より右の画像の方が絵文字の数が多い。',
    ),
    'zh': TaskWording(
        mark='？',
        what='什么',
        where='哪里',
        how_many='多少个表情符号',
        horizontal='由左到右',
        vertical='由上到下',
        left='左图中有',
        right='右图中有',
        both='两张图中都有',
        only_left='左图独有',
        only_right='右图独有',
        together='两张图的表情符号数量合计',
        more_left='左图的表情符号比右图多。',
        more_right='右图的表情符号比左图多。',
    ),
}


def places(level: str, language: str) -> tuple[str, ...]:
    """Names of a level's cells, row by row, as captions have them."""
    words = WORDINGS[language]
    return words.corners if level == 'easy' else words.thirds


def statement(language: str, opening: str, parts: Sequence[str]) -> str:
    """'Opening: part, part.' with the language's marks."""
    words = WORDINGS[language]
    return f'{opening}{words.colon}{words.comma.join(parts)}{words.stop}'


def question(language: str, opening: str, parts: Sequence[str] = ()) -> str:
    """'Opening: part, part?', or 'Opening?' without parts, with the language's marks."""
    words, mark = WORDINGS[language], TASK_WORDINGS[language].mark
    return f'{opening}{words.colon if parts else ""}{words.comma.join(parts)}{mark}'


def joined(language: str, statements: Sequence[str]) -> str:
    """Statements, one after the other."""
    return WORDINGS[language].gap.join(statements)
