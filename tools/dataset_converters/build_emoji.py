"""Build the EmojiScenes artefact that ships with rc3mm: concepts, artwork, licences and a font.

Nobody needs this to use rc3mm. Run it to add a language or a style, or to check that the committed files are
what the sources give: a second run writes the same bytes.
"""

import argparse
from pathlib import Path

import numpy as np
from emoji_font import common_characters, find_font, write_subset
from emoji_pack import TILE, write_atlas, write_concepts, write_manifest, write_papers
from emoji_selection import FRONT_SIZE, eligible, select
from emoji_sources import STYLES, Emoji, Sources, fetch_debian, fetch_npm, load_artwork, read_emoji
from PIL import Image

_PACKAGE = Path(__file__).resolve().parents[2] / 'rc3mm'
_FONT_NAME = 'DroidSansFallback-subset.ttf'
_FONT_NOTICE = f"""`{_FONT_NAME}` is cut from Droid Sans Fallback (Debian package `fonts-droid-fallback`),
Copyright 2006-2010 Google Corp., Apache License 2.0. `tools/dataset_converters/build_emoji.py` made it: kana,
punctuation, the first levels of GB 2312 and JIS X 0208 and all characters of EmojiScenes; hinting and layout
tables dropped. It has no Latin letters: name another font before it.
The licence: `rc3mm/datasets/emoji/data/LICENSES/Apache-2.0.txt`.
"""
_EPILOG = f"""
what it does:
  1. fetches five packages into --work-dir (skipped for those given by a flag or there already):
     npm:    emoji-datasource-google 16.0.0, emoji-datasource-twitter 16.0.0, fluentui-emoji 1.3.0
     Debian: unicode-cldr-core, fonts-droid-fallback
  2. keeps emoji with a name and keywords in all six languages and artwork in all three styles, drops flags,
     skin tones, keycaps, buttons, half-hour clocks and the like, and orders them: the first {FRONT_SIZE} are
     short-named, look different and come from all groups in turn, so that "the first 100 concepts" is a good
     world
  3. writes concepts.json, <style>.webp, LICENSES/, ATTRIBUTION.md and manifest.json (SHA-256 of all) into
     --out-dir and the font into --font-dir

examples:
  python tools/dataset_converters/build_emoji.py --work-dir /tmp/emoji
  python tools/dataset_converters/build_emoji.py --work-dir /tmp/emoji --out-dir out --font-dir out
"""


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--work-dir', type=Path, required=True, help='folder for downloads (about 200 MB)')
    for style in STYLES:
        parser.add_argument(f'--{style}', type=Path, help=f'unpacked npm package of the {style} artwork')
    parser.add_argument('--cldr', type=Path, help='root of the unpacked Debian package unicode-cldr-core')
    parser.add_argument('--font', type=Path, help='root of the unpacked Debian package fonts-droid-fallback')
    parser.add_argument(
        '--out-dir',
        type=Path,
        default=_PACKAGE / 'datasets/emoji/data',
        help='folder of the artefact (default: where rc3mm looks for it)',
    )
    parser.add_argument(
        '--font-dir',
        type=Path,
        default=_PACKAGE / 'visualization/fonts',
        help='folder of the font (default: where rc3mm looks for it)',
    )
    return parser.parse_args()


def gather(args: argparse.Namespace) -> Sources:
    """Folders of all packages, fetched where no flag gives one."""
    args.work_dir.mkdir(parents=True, exist_ok=True)
    npm = {style: getattr(args, style) or fetch_npm(style, args.work_dir) for style in STYLES}
    debian = {kind: getattr(args, kind) or fetch_debian(kind, args.work_dir) for kind in ('cldr', 'font')}
    return Sources(**npm, **debian)


def small_look(emoji: Emoji) -> np.ndarray:
    """A (2, 8, 8, 3) picture in two styles on grey, to compare the looks of emoji."""
    looks = []
    for style in STYLES[:2]:
        canvas = Image.new('RGBA', (TILE, TILE), (200, 200, 200, 255))
        canvas.alpha_composite(load_artwork(emoji.files[style], TILE))
        looks.append(np.asarray(canvas.convert('RGB').resize((8, 8), Image.Resampling.BOX), np.float64))
    return np.stack(looks)


def main() -> None:
    """Build everything and print sizes."""
    args = parse_args()
    sources = gather(args)
    candidates = [emoji for emoji in read_emoji(sources) if eligible(emoji)]
    concepts = select(candidates, {emoji.char: small_look(emoji) for emoji in candidates})
    print(f'{len(candidates)} candidates, {len(concepts)} concepts', flush=True)
    for folder in (args.out_dir, args.font_dir):
        folder.mkdir(parents=True, exist_ok=True)
    write_concepts(concepts, args.out_dir / 'concepts.json')
    for style in STYLES:
        print(f'packing {style}', flush=True)
        write_atlas(concepts, style, args.out_dir / f'{style}.webp')
    write_papers(sources, args.out_dir)
    texts = [
        text
        for emoji in concepts
        for language in emoji.names
        for text in (emoji.names[language], *emoji.keywords[language])
    ]
    font = args.font_dir / _FONT_NAME
    missing = write_subset(find_font(sources.font), [*common_characters(), *texts], font)
    lost = sorted({c for text in texts for c in text} & missing)
    print(f'characters of the artefact that the font lacks: {"".join(lost) or "none"}')
    notice = args.font_dir / 'README.md'
    notice.write_text(_FONT_NOTICE, encoding='utf-8')
    manifest = args.out_dir / 'manifest.json'
    files = [p for p in args.out_dir.rglob('*') if p.is_file() and p != manifest]
    root = _PACKAGE if args.out_dir.is_relative_to(_PACKAGE) and args.font_dir.is_relative_to(_PACKAGE) else None
    if root:
        files += [font, notice]
    write_manifest(files, root or args.out_dir, manifest)
    for file in sorted([*files, manifest]):
        print(f'{file.stat().st_size / 1024:9.1f} KiB  {file.name}')


if __name__ == '__main__':
    main()
