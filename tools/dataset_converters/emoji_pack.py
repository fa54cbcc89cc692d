"""Write the EmojiScenes artefact: concepts, artwork atlases, licences, attribution and manifest."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from emoji_selection import group_of
from emoji_sources import LANGUAGES, NPM_PACKAGES, STYLES, Emoji, Sources, debian_version, load_artwork
from PIL import Image

TILE = 64
COLUMNS = 32
_APACHE = Path('/usr/share/common-licenses/Apache-2.0')
_ATTRIBUTION = """# Where the EmojiScenes artefact comes from

Everything in this folder was made by `tools/dataset_converters/build_emoji.py`; nothing was drawn or
translated for rc3mm. The concepts are those emoji that have a short name and keywords in English, German,
French, Czech, Japanese and Chinese and artwork in all three styles, less those that the builder leaves out.

## `noto.webp`: Noto Emoji

- Source: npm package `{noto[0]}` {noto[1]}, folder `img/google/64`, packaged by Cal Henderson.
- Authors: Google LLC. Licence: Apache License 2.0, `LICENSES/Apache-2.0.txt`.
- Changes: a selection, packed into one atlas, re-encoded as lossy WebP.

## `twemoji.webp`: Twemoji

- Source: npm package `{twemoji[0]}` {twemoji[1]}, folder `img/twitter/64`, packaged by Cal Henderson.
- Authors: Copyright Twitter, Inc. and other contributors.
- Licence: Creative Commons Attribution 4.0 International, `LICENSES/CC-BY-4.0.txt`.
- Changes: a selection, packed into one atlas, re-encoded as lossy WebP.

## `fluent.webp`: Fluent Emoji

- Source: npm package `{fluent[0]}` {fluent[1]}, folder `icons/flat`, packaged by Mohammad Abu Mattar.
- Authors: Microsoft Corporation. Licence: MIT, `LICENSES/MIT-Fluent.txt`.
- Changes: a selection, rasterised at {tile} px, packed into one atlas, encoded as lossy WebP.

## `concepts.json`: Unicode CLDR annotations

- Source: Debian package `unicode-cldr-core` {cldr}, `common/annotations/` en, de, fr, cs, ja, zh.
- Authors: Unicode, Inc. and the contributors to CLDR. Licence: Unicode-DFS-2016, `LICENSES/Unicode.txt`: the
  terms that came with this version, the predecessor of the Unicode License v3.
- Changes: a selection in another order, as JSON. Unicode's categories were read from the npm package
  `{noto[0]}` and put together into groups.

## `rc3mm/visualization/fonts/DroidSansFallback-subset.ttf`: Droid Sans Fallback

- Source: Debian package `fonts-droid-fallback` {font}.
- Authors: Google Corp. Licence: Apache License 2.0, `LICENSES/Apache-2.0.txt`.
- Changes: reduced to a part of its characters; hinting and layout tables dropped.
"""
_CC_BY = """Twemoji graphics, Copyright Twitter, Inc. and other contributors.
Licensed under the Creative Commons Attribution 4.0 International licence (CC BY 4.0):
    https://creativecommons.org/licenses/by/4.0/
    https://creativecommons.org/licenses/by/4.0/legalcode
You may share and adapt the graphics for any purpose if you give credit, link to the licence and say what you
changed. ATTRIBUTION.md in the folder above says what was changed here. The graphics come as they are, without
warranty.
"""
_MIT_HEAD = """Fluent Emoji, Copyright (c) Microsoft Corporation, published under the MIT License.
The npm package that the artwork was taken from carries this licence:

"""


def write_concepts(concepts: Sequence[Emoji], path: Path) -> None:
    """Write ``concepts.json``.

    Args:
        concepts: Concepts in their final order.
        path: File to write; one concept a line.
    """
    lines = []
    for emoji in concepts:
        entry = {
            'codepoints': emoji.codepoints,
            'char': emoji.char,
            'group': group_of(emoji),
            'names': {language: emoji.names[language] for language in LANGUAGES},
            'keywords': {language: emoji.keywords[language] for language in LANGUAGES},
        }
        lines.append(json.dumps(entry, ensure_ascii=False))
    head = json.dumps({'languages': LANGUAGES, 'styles': STYLES, 'tile': TILE, 'columns': COLUMNS})
    path.write_text(head[:-1] + ', "concepts": [\n' + ',\n'.join(lines) + '\n]}\n', encoding='utf-8')


def write_atlas(concepts: Sequence[Emoji], style: str, path: Path, quality: int = 82) -> None:
    """Pack the artwork of one style row by row into one lossy WebP with lossless alpha.

    Args:
        concepts: Concepts in their final order; number i lies in row i // COLUMNS, column i % COLUMNS.
        style: One of ``STYLES``.
        path: File to write.
        quality: WebP quality, 0 to 100.
    """
    rows = -(-len(concepts) // COLUMNS)
    atlas = np.zeros((rows * TILE, COLUMNS * TILE, 4), np.uint8)
    for i, emoji in enumerate(concepts):
        y, x = i // COLUMNS * TILE, i % COLUMNS * TILE
        atlas[y : y + TILE, x : x + TILE] = np.asarray(load_artwork(emoji.files[style], TILE))
    Image.fromarray(atlas).save(path, 'WEBP', quality=quality, alpha_quality=100, method=6, exact=False)


def write_papers(sources: Sources, folder: Path) -> None:
    """Write ``ATTRIBUTION.md`` and ``LICENSES/``.

    Args:
        sources: Folders of the packages.
        folder: The artefact's folder.

    Raises:
        FileNotFoundError: If the text of the Apache licence is not on this machine (Debian has it).
    """
    licences = folder / 'LICENSES'
    licences.mkdir(exist_ok=True)
    text = _ATTRIBUTION.format(
        **NPM_PACKAGES, tile=TILE, cldr=debian_version('cldr', sources), font=debian_version('font', sources)
    )
    (folder / 'ATTRIBUTION.md').write_text(text, encoding='utf-8')
    (licences / 'Apache-2.0.txt').write_text(_APACHE.read_text(encoding='utf-8'), encoding='utf-8')
    (licences / 'CC-BY-4.0.txt').write_text(_CC_BY, encoding='utf-8')
    mit = (sources.fluent / 'LICENSE').read_text(encoding='utf-8')
    (licences / 'MIT-Fluent.txt').write_text(_MIT_HEAD + mit, encoding='utf-8')
    copyright_file = sources.cldr / 'usr/share/doc/unicode-cldr-core/copyright'
    (licences / 'Unicode.txt').write_text(copyright_file.read_text(encoding='utf-8'), encoding='utf-8')


def write_manifest(files: Sequence[Path], root: Path, path: Path) -> None:
    """Write the SHA-256 of every file.

    Args:
        files: Files of the artefact.
        root: Folder that the names in the manifest are relative to.
        path: File to write.
    """
    sums = {str(f.relative_to(root)): hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(files)}
    path.write_text(json.dumps({'sha256': sums}, indent=1) + '\n', encoding='utf-8')
