"""One key for the same image under different spellings of its address."""

import re
import unicodedata
from hashlib import blake2b
from urllib.parse import unquote

__all__ = ['url_digest', 'url_key']

_THUMBNAIL = re.compile(r'/thumb(/.+)/[^/]+')


def url_key(url: str) -> str:
    """An address without scheme, fragment, percent encoding and, for Wikimedia's, size of the thumbnail.

    >>> url_key('HTTPS://Upload.Wikimedia.org/wikipedia/commons/thumb/a/ab/Caf%C3%A9_1.jpg/220px-Caf%C3%A9_1.jpg#x')
    'upload.wikimedia.org/wikipedia/commons/a/ab/Café_1.jpg'
    """
    host, slash, path = url.strip().partition('://')[2].partition('#')[0].partition('/')
    if not host:
        host, slash, path = url.strip().removeprefix('//').partition('/')
    host, path = host.lower(), slash + path
    if '%' in path:
        path = unquote(path)
    if not path.isascii():
        path = unicodedata.normalize('NFC', path)
    if host == 'upload.wikimedia.org':
        path = path.replace(' ', '_')
        path = _THUMBNAIL.sub(r'\1', path) if '/thumb/' in path else path
    return host + path


def url_digest(url: str) -> bytes:
    """16 bytes that stand for an address; equal for different spellings of it (see `url_key`)."""
    return blake2b(url_key(url).encode(errors='surrogatepass'), digest_size=16).digest()
