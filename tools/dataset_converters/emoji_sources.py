"""Fetch the packages that EmojiScenes is made of, and read emoji, names and artwork out of them."""

import gzip
import io
import json
import re
import subprocess
import tarfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cairosvg
from PIL import Image

LANGUAGES = ('en', 'de', 'fr', 'cs', 'ja', 'zh')
STYLES = ('noto', 'twemoji', 'fluent')
NPM_PACKAGES = {
    'noto': ('emoji-datasource-google', '16.0.0'),
    'twemoji': ('emoji-datasource-twitter', '16.0.0'),
    'fluent': ('fluentui-emoji', '1.3.0'),
}
DEBIAN_PACKAGES = {'cldr': 'unicode-cldr-core', 'font': 'fonts-droid-fallback'}
_SLUG = re.compile(r'[^a-z0-9]+')


@dataclass(frozen=True)
class Sources:
    """Folders of the unpacked packages.

    Attributes:
        noto: Folder of the npm package with the Noto artwork (holds ``emoji.json`` and ``img/google/64``).
        twemoji: The same for Twemoji (``img/twitter/64``).
        fluent: Folder of the npm package with the Fluent artwork (holds ``icons/flat/*.svg``).
        cldr: Root of the unpacked CLDR package.
        font: Root of the unpacked font package.
    """

    noto: Path
    twemoji: Path
    fluent: Path
    cldr: Path
    font: Path


@dataclass(frozen=True)
class Emoji:
    """One emoji with its names, keywords and artwork files.

    Attributes:
        char: The emoji itself, fully qualified.
        category: Unicode's category, such as 'Food & Drink'.
        subcategory: Unicode's subcategory, such as 'food-fruit'.
        names: Language -> short name.
        keywords: Language -> keywords in CLDR's order, without repetition.
        files: Style -> artwork file.
    """

    char: str
    category: str
    subcategory: str
    names: dict[str, str] = field(hash=False)
    keywords: dict[str, list[str]] = field(hash=False)
    files: dict[str, Path] = field(hash=False)

    @property
    def codepoints(self) -> str:
        """Code points in hexadecimal, joined with '-'."""
        return '-'.join(f'{ord(c):04x}' for c in self.char)


def fetch_npm(style: str, work_dir: Path) -> Path:
    """Fetch and unpack the npm package of a style unless it is there already.

    Args:
        style: One of ``STYLES``.
        work_dir: Folder for downloads and unpacked packages.

    Returns:
        The unpacked package folder.

    Raises:
        subprocess.CalledProcessError: If ``npm pack`` fails.
    """
    name, version = NPM_PACKAGES[style]
    folder = work_dir / style
    if not (folder / 'package' / 'package.json').exists():
        archive = work_dir / f'{name}-{version}.tgz'
        if not archive.exists():
            print(f'fetching the npm package {name} {version}', flush=True)
            subprocess.run(
                ['npm', 'pack', '--silent', f'{name}@{version}'],
                cwd=work_dir,
                check=True,
                stdout=subprocess.DEVNULL,
            )
        print(f'unpacking {archive.name}', flush=True)
        with tarfile.open(archive) as tar:
            keep = [m for m in tar.getmembers() if _needed(m.name)]
            tar.extractall(folder, members=keep, filter='data')
    return folder / 'package'


def _needed(path: str) -> bool:
    """Whether a file of an npm archive is used: 64-px artwork, flat icons and the package's own papers."""
    parts = path.split('/')
    return len(parts) == 2 or '64' in parts[:-1] or 'flat' in parts[:-1]


def fetch_debian(kind: str, work_dir: Path) -> Path:
    """Fetch and unpack a Debian package unless it is there already.

    Args:
        kind: A key of ``DEBIAN_PACKAGES``.
        work_dir: Folder for downloads and unpacked packages.

    Returns:
        Root of the unpacked package.

    Raises:
        subprocess.CalledProcessError: If ``apt-get download`` or ``dpkg-deb`` fails.
    """
    name, folder = DEBIAN_PACKAGES[kind], work_dir / kind
    if not (folder / 'usr').exists():
        if not list(work_dir.glob(f'{name}_*.deb')):
            print(f'fetching the Debian package {name}', flush=True)
            subprocess.run(['apt-get', '-qq', 'download', name], cwd=work_dir, check=True)
        archive = sorted(work_dir.glob(f'{name}_*.deb'))[-1]
        print(f'unpacking {archive.name}', flush=True)
        subprocess.run(['dpkg-deb', '-x', str(archive), str(folder)], check=True)
    return folder


def debian_version(kind: str, sources: Sources) -> str:
    """Version of an unpacked Debian package, read from its change log."""
    root = getattr(sources, kind)
    log = root / 'usr/share/doc' / DEBIAN_PACKAGES[kind] / 'changelog.Debian.gz'
    first = gzip.decompress(log.read_bytes()).decode('utf-8').splitlines()[0]
    return first.split('(')[1].split(')')[0]


def read_annotations(cldr: Path, language: str) -> dict[str, tuple[str, list[str]]]:
    """Read one language's annotations.

    Args:
        cldr: Root of the unpacked CLDR package.
        language: Language code.

    Returns:
        Emoji without variation selectors -> (short name, keywords). Emoji lacking one of both are left out.

    Raises:
        FileNotFoundError: If the package has no annotations of that language.
    """
    found = sorted(cldr.rglob(f'common/annotations/{language}.xml'))
    if not found:
        raise FileNotFoundError(f'no common/annotations/{language}.xml below {cldr}')
    names: dict[str, str] = {}
    keywords: dict[str, list[str]] = {}
    for node in ElementTree.parse(found[0]).getroot().iter('annotation'):
        key, text = node.get('cp', '').replace('\ufe0f', ''), (node.text or '').strip()
        if not text or '\u2191' in text:  # arrows stand for "inherited"
            continue
        if node.get('type') == 'tts':
            names[key] = text
        else:
            keywords[key] = list(dict.fromkeys(word.strip() for word in text.split('|') if word.strip()))
    return {key: (names[key], keywords[key]) for key in names if key in keywords}


def slug(name: str) -> str:
    """File stem that the Fluent package gives to an English name.

    >>> slug("Ear of Corn’s")
    'ear-of-corns'
    """
    return _SLUG.sub('-', name.lower().replace('’', '').replace("'", '')).strip('-')


def read_emoji(sources: Sources) -> Iterator[Emoji]:
    """Yield every emoji with artwork in all styles and names and keywords in all languages.

    Args:
        sources: Folders of the packages.

    Yields:
        Emoji in Unicode's order.
    """
    annotations = {language: read_annotations(sources.cldr, language) for language in LANGUAGES}
    entries = json.loads((sources.noto / 'emoji.json').read_text(encoding='utf-8'))
    for entry in sorted(entries, key=lambda e: e['sort_order']):
        char = ''.join(chr(int(code, 16)) for code in entry['unified'].split('-'))
        key = char.replace('\ufe0f', '')
        if not all(key in table for table in annotations.values()):
            continue
        texts = {language: table[key] for language, table in annotations.items()}
        files = _artwork_files(entry, texts['en'][0], sources)
        if files is not None:
            yield Emoji(
                char,
                entry['category'],
                entry['subcategory'],
                {language: text[0] for language, text in texts.items()},
                {language: text[1] for language, text in texts.items()},
                files,
            )


def _artwork_files(entry: dict, english: str, sources: Sources) -> dict[str, Path] | None:
    """Artwork files of an emoji by style; None where a style lacks it."""
    flat = sources.fluent / 'icons' / 'flat'
    stems = [slug(english), slug(entry['name']), slug(english) + '-default']
    fluent = next((p for p in (flat / f'{stem}.svg' for stem in stems) if p.exists()), None)
    noto = sources.noto / 'img/google/64' / entry['image']
    twemoji = sources.twemoji / 'img/twitter/64' / entry['image']
    if fluent is None or not noto.exists() or not twemoji.exists():
        return None
    return {'noto': noto, 'twemoji': twemoji, 'fluent': fluent}


def load_artwork(file: Path, size: int) -> Image.Image:
    """Load a PNG or rasterise an SVG.

    Args:
        file: Artwork file.
        size: Side in pixels.

    Returns:
        RGBA image of (size, size).
    """
    if file.suffix == '.svg':
        png = cairosvg.svg2png(bytestring=file.read_bytes(), output_width=size, output_height=size)
        image = Image.open(io.BytesIO(png)).convert('RGBA')
    else:
        image = Image.open(file).convert('RGBA')
    return image if image.size == (size, size) else image.resize((size, size), Image.Resampling.LANCZOS)
