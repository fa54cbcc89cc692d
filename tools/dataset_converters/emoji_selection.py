"""Choose and order the concepts of EmojiScenes."""

import re
from collections.abc import Iterable, Mapping

import numpy as np
from emoji_sources import LANGUAGES, Emoji

# Groups of subcategories. The front of the order is dealt from these in turn.
FRONT_GROUPS: dict[str, tuple[str, ...]] = {
    'animals': ('animal-mammal', 'animal-bird', 'animal-amphibian'),
    'fruit and vegetables': ('food-fruit', 'food-vegetable'),
    'vehicles': ('transport-ground', 'transport-water', 'transport-air'),
    'music': ('musical-instrument', 'music', 'sound'),
    'sports and games': ('sport', 'game', 'award-medal'),
    'clothing': ('clothing',),
    'meals and drinks': ('food-prepared', 'food-asian', 'food-sweet', 'drink', 'dishware'),
    'plants': ('plant-flower', 'plant-other'),
    'tools and science': ('tool', 'lock', 'science', 'medical'),
    'sea and small animals': ('animal-reptile', 'animal-marine', 'animal-bug'),
    'sky and weather': ('sky & weather',),
    'household': ('household', 'other-object', 'hotel'),
    'devices': ('phone', 'computer', 'light & video', 'time'),
    'feasts and arts': ('event', 'arts & crafts'),
    'places': ('place-building', 'place-geographic', 'place-other', 'place-religious', 'place-map'),
    'office': ('book-paper', 'writing', 'office', 'mail', 'money'),
}
BACK_GROUPS: dict[str, tuple[str, ...]] = {
    'body': ('body-parts',),
    'faces': (
        'face-costume',
        'face-smiling',
        'face-affection',
        'face-tongue',
        'face-hand',
        'face-hat',
        'face-neutral-skeptical',
        'face-sleepy',
        'face-unwell',
        'face-glasses',
        'face-concerned',
        'face-negative',
        'cat-face',
        'monkey-face',
    ),
    'people': (
        'person',
        'person-role',
        'person-fantasy',
        'person-activity',
        'person-sport',
        'person-resting',
    ),
    'hands': ('hand-fingers-open', 'hand-fingers-partial', 'hand-fingers-closed', 'hands', 'hand-prop'),
    'hearts and signs': ('heart', 'emotion', 'religion', 'warning', 'other-symbol', 'geometric'),
}
FRONT_SIZE = 240
# Everyday things that go first within their group, whatever the length of their names.
EVERYDAY = frozenset(
    '🐈🐕🐎🐄🐖🐑🐘🦁🐅🐒🦓🦒🐇🐻🐼🦊🐺🐧🦆🦉🦅🐓🦜🐸🍎🍌🍐🍑🍒🍓🍇🍉🍋🍍🥝🍅🥕🌽🥦🧄🧅🍆🥑🥔'
    '🚗🚌🚂🚲🚁🚀⛵🚜🚕🚑🛴🏍✈🎻🎸🎺🥁🎷🎹🪗🔔🎤📻⚽🏀🎾🏈🎳♟🎲🪁🧩🧸🏆👗👖👕👟🎩🧦🧣🧤👓👑💍🎒'
    '🍕🍔🍞🧀🥚🍰🍪🍩🍦🍫☕🍵🍷🥐🥨🍿🌹🌻🌷🌵🌴🍄🍁🍀🔨🪓🔑🧲🔬🔭🧪💣🪜🪛🔧✂🐢🐍🐊🐟🐙🦈🐬🐳🦀🐌🦋🐝🐞🐜🕷'
    '☀🌙🌛⭐☁🌈⚡❄☂🔥🌊🚪🪑🛏🪟🪞🛁🚽🧹🪣🧼🧽🧺🧻📱💻⌚⏰🖨📷📺🔋💡🕯🔦🎁🎈🎄🎃🪢🧶🎨🎆🏠🏰⛪🏭🌋⛺⛲🗻🌉📖📚✏🖊📎📌✉📅📰💰'
)
# Rude or drug-related pictures, and pictures that show writing instead of a thing.
EXCLUDED = frozenset('🖕🔞🚬💩🔫🩸💊💉🪦🚭')
# Half-hour clocks differ by a hand only; the name of one hour says little about the picture.
CLOCKS = frozenset(chr(code) for code in range(0x1F550, 0x1F568))
# Marks that would break a comma- or colon-separated list, or that mark a note instead of a name.
_AWKWARD = re.compile(r'[:;,.!?"()/\u3001\u3002\uff0c\uff1a\uff1b\uff08\uff09\u201c\u201d\u201e\u00ab\u00bb]')
# Languages written without spaces: a character of theirs weighs as much as about three letters.
_CHAR_WEIGHT = {'ja': 2.0, 'zh': 3.0}
# Least mean difference (of 255) between the small pictures of two concepts at the front.
_SEPARABLE = 15.0
# Containment counts from this length on; 'head of' is no reason to keep lion and fox apart.
_CONTAINED = {'ja': 3, 'zh': 2}
_HEAD_WORDS = frozenset({'hlava', 'tête', 'face'})


def eligible(emoji: Emoji) -> bool:
    """Whether an emoji can be a concept at all.

    Left out are flags, skin tones, keycaps, buttons, arrows and zodiac signs (no group holds their
    subcategory), half-hour clocks, gendered and family sequences of people, names with list punctuation
    and the few of ``EXCLUDED``.
    """
    if not group_of(emoji) or emoji.char in EXCLUDED or emoji.char[0] in CLOCKS:
        return False
    if emoji.category == 'People & Body' and ('\u200d' in emoji.char or _gendered(emoji)):
        return False
    texts = list(emoji.names.values())
    return not any(_AWKWARD.search(text) for text in texts)


def _gendered(emoji: Emoji) -> bool:
    """Whether a name tells man from woman doing the same."""
    words = emoji.names['en'].lower().split()
    return len(words) > 1 and words[0] in {'man', 'woman', 'men', 'women', 'mr', 'mrs', 'mx'}


def group_of(emoji: Emoji) -> str | None:
    """Name of the emoji's group, or None."""
    for groups in (FRONT_GROUPS, BACK_GROUPS):
        for name, subcategories in groups.items():
            if emoji.subcategory in subcategories:
                return name
    return None


def name_cost(emoji: Emoji) -> float:
    """Length of an emoji's names; every further word costs extra, EVERYDAY things cost less."""
    cost = -100.0 if emoji.char.replace('\ufe0f', '') in EVERYDAY else 0.0
    for language in LANGUAGES:
        name = emoji.names[language]
        cost += len(name) * _CHAR_WEIGHT.get(language, 1.0) + 6.0 * len(re.findall(r'[\s\-]', name))
    return cost


def select(emoji: Iterable[Emoji], looks: Mapping[str, np.ndarray]) -> list[Emoji]:
    """Choose and order concepts.

    The first ``FRONT_SIZE`` are dealt from the front groups in turn, short names first; one waits for the
    second part if an earlier one's names clash with its own (see :func:`names_clash`) or its looks are much
    the same. The rest follows, dealt from all groups in turn.

    Args:
        emoji: Candidates in a fixed order.
        looks: ``Emoji.char`` -> small float picture, any shape, same for all, range 0 to 255.

    Returns:
        Concepts with names unique in every language (without regard to case).
    """
    queues: dict[str, list[Emoji]] = {name: [] for name in (*FRONT_GROUPS, *BACK_GROUPS)}
    for item in sorted(filter(eligible, emoji), key=lambda e: (name_cost(e), e.codepoints)):
        queues[str(group_of(item))].append(item)
    chosen: list[Emoji] = []
    fronts = {name: list(queues[name]) for name in FRONT_GROUPS}
    while len(chosen) < FRONT_SIZE and any(fronts.values()):
        for queue in fronts.values():
            while queue and not (fits := _stands_apart(queue[0], chosen, looks)):
                queue.pop(0)
            if queue and len(chosen) < FRONT_SIZE and fits:
                chosen.append(queue.pop(0))
    taken = {item.char for item in chosen}
    used = {language: {c.names[language].casefold() for c in chosen} for language in LANGUAGES}
    rest = {name: [e for e in queue if e.char not in taken] for name, queue in queues.items()}
    while any(rest.values()):
        for queue in rest.values():
            if queue:
                _append_if_new(queue.pop(0), chosen, used)
    return chosen


def _append_if_new(item: Emoji, chosen: list[Emoji], used: dict[str, set[str]]) -> None:
    """Append an emoji unless one of its names is taken."""
    names = {language: item.names[language].casefold() for language in LANGUAGES}
    if not any(name in used[language] for language, name in names.items()):
        chosen.append(item)
        for language, name in names.items():
            used[language].add(name)


def _stands_apart(item: Emoji, chosen: list[Emoji], looks: Mapping[str, np.ndarray]) -> bool:
    """Whether an emoji is told easily from those chosen so far, by name and by sight."""
    return not any(
        names_clash(item, other) or float(np.abs(looks[item.char] - looks[other.char]).mean()) < _SEPARABLE
        for other in chosen
    )


def names_clash(first: Emoji, second: Emoji) -> bool:
    """Whether two emoji share a word (of over two letters), or, in ja and zh, one name contains the other.

    Very short names (such as the Chinese for 'horse') do not count as contained.
    """
    for language in LANGUAGES:
        a, b = first.names[language].casefold(), second.names[language].casefold()
        if a == b:
            return True
        if language in _CHAR_WEIGHT:
            if min(len(a), len(b)) >= _CONTAINED[language] and (a in b or b in a):
                return True
        elif (set(re.findall(r'\w{3,}', a)) & set(re.findall(r'\w{3,}', b))) - _HEAD_WORDS:
            return True
    return False
