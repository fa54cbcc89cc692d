"""Reads the texts of the emoji tasks back, in any language, and judges them by what scenes hold.

Nothing here looks at what the generator meant: only texts, names of concepts, fixed words and objects count.
"""

from collections.abc import Iterable, Sequence

from rc3mm.datasets.emoji.artefact import load_concepts
from rc3mm.datasets.emoji.captions import WORDINGS
from rc3mm.datasets.emoji.scene import Scene
from rc3mm.datasets.emoji.task_wording import TASK_WORDINGS, places

Part = tuple[str, tuple[int | str, ...]]
OPENINGS = ('what', 'where', 'horizontal', 'vertical', 'left', 'right', 'both', 'only_left', 'only_right', 'together')


def read_text(text: str, level: str, language: str) -> tuple[list[Part], bool]:
    """(opening, parts) of every statement of a text, and whether it is a question; cells and concepts as numbers."""
    words, more = WORDINGS[language], TASK_WORDINGS[language]
    for whole in ('more_left', 'more_right'):
        if text == getattr(more, whole):
            return [(whole, ())], False
    if text in (f'{more.how_many}{more.mark}', f'{words.count}{more.mark}'):
        return [('how_many', ())], True
    openings = {place: f'cell {cell}' for cell, place in enumerate(places(level, language))}
    openings |= {words.picture: 'picture', words.count: 'count'} | {getattr(more, name): name for name in OPENINGS}
    assert len(openings) == len(places(level, language)) + 2 + len(OPENINGS)
    names = {concept.names[language]: concept.index for concept in load_concepts()}
    names |= {place: cell for cell, place in enumerate(places(level, language))} if text.startswith(more.what) else {}
    asks = text.endswith(more.mark.strip())
    body = text.removesuffix(more.mark).removesuffix(more.mark.strip()) if asks else text.removesuffix(words.stop)
    read: list[Part] = []
    for said in body.split(words.stop + words.gap):
        opening, colon, rest = said.partition(words.colon)
        assert colon, f'{text!r} has no colon'
        given = rest.split(words.comma) if rest else []
        read.append((openings[opening], tuple(name if name.isdigit() else names[name] for name in given)))
    return read, asks


def where_of(objects: Iterable[tuple[int, int]], concept: int) -> int:
    """The cell of a concept among (cell, concept) pairs; -1 if it is not there."""
    return next((cell for cell, held in objects if held == concept), -1)


def is_true(said: Sequence[Part], objects: Sequence[tuple[int, int]], grid: int) -> bool:
    """Whether statements about a picture with these (cell, concept) pairs are all true."""
    for opening, given in said:
        cells = [where_of(objects, int(concept)) for concept in given]
        if opening == 'picture':
            true = min(cells) >= 0
        elif opening.startswith('cell '):
            true = cells == [int(opening[5:])]
        else:
            along = [cell % grid if opening == 'horizontal' else cell // grid for cell in cells]
            true = min(cells) >= 0 and along[0] < along[1]
        if not true:
            return False
    return True


def cells_of(scene: Scene) -> list[tuple[int, int]]:
    """(cell, concept) of every object; the cell is found from the artwork's middle, not taken from the scene."""
    grid, side, found = (2 if scene.level == 'easy' else 3), scene.image_size, []
    for item in scene.objects:
        x, y = (corner + item.size / 2 for corner in item.corner)
        found.append((int(y * grid / side) * grid + int(x * grid / side), item.concept))
    return found
