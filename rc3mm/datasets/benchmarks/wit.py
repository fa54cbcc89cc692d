"""WIT retrieval (Srinivasan et al. 2021; Bugliarello et al. 2022): Wikipedia's images and their captions."""

from dataclasses import dataclass
from pathlib import Path

from rc3mm.datasets.benchmarks.reading import find_file, read_json_lines
from rc3mm.datasets.benchmarks.retrieval import CaptionedRow, RetrievalBenchmark
from rc3mm.registry import DATASETS

__all__ = ['WITRetrieval', 'WitCaption', 'group_captions', 'read_wit_captions']


@dataclass(frozen=True, slots=True)
class WitCaption:
    """A line.

    Attributes:
        language: language code.
        image_id: `wit_ix`, such as 'wit-test_0'. (`image_idx` will not do: several images may share one.)
        url: address of the image.
        caption: the reference description.
    """

    language: str
    image_id: str
    url: str
    caption: str


def read_wit_captions(path: Path, language: str) -> list[WitCaption]:
    """The lines of a file.

    Raises:
        FileNotFoundError: there is no such file.
        AnnotationError: a line is malformed, of another language, or gives an image another address than before.
    """
    captions, urls = [], dict[str, str]()
    for entry in read_json_lines(path):
        entry.one_of('language', (language,))
        image_id, url = entry.name('wit_ix'), entry.name('image_url')
        if urls.setdefault(image_id, url) != url:
            raise entry.error(f"the key 'image_url' holds {url!r}, but {image_id} had {urls[image_id]!r} before")
        captions.append(WitCaption(language, image_id, url, entry.text('caption_reference_description')))
    return captions


def group_captions(captions: list[WitCaption]) -> list[CaptionedRow]:
    """Images with all their captions, in the order in which they come first; the name is the image's address."""
    groups: dict[str, list[WitCaption]] = {}
    for caption in captions:
        groups.setdefault(caption.image_id, []).append(caption)
    return [
        CaptionedRow(image_id, group[0].url, tuple((caption.language, caption.caption) for caption in group))
        for image_id, group in groups.items()
    ]


@DATASETS.register_module()
class WITRetrieval(RetrievalBenchmark):
    """IGLUE's WIT retrieval: up to 1,000 captions a language, several of which may share an image.

    Each language has images of its own, so a dataset holds one language. The images are addresses in Wikimedia Commons,
    some of them gone by now; IGLUE hands out the test's. Save them as JPEG under the id, SVG and TIFF converted, or say
    by `image_template` how they are called. Arguments: see `RetrievalBenchmark`. ::

        ann_root/wit/annotations/test_{ar,bg,da,el,en,et,id,ja,ko,tr,vi}.jsonl
                                 {train,val}_en.jsonl
                     annotations_machine-translate/test_{l}_gmt.jsonl                  translate_test
        image_root/wit-test_0.jpg
    """

    known_languages = ('ar', 'bg', 'da', 'el', 'en', 'et', 'id', 'ja', 'ko', 'tr', 'vi')
    splits = ('train', 'val', 'test')
    has_translations = True
    image_fields = ('image_id', 'language')
    official_template = '{image_id}.jpg'

    def pool(self, language: str) -> str:
        """Every language has images of its own."""
        return language

    def read_images(self) -> list[CaptionedRow]:
        """See `RetrievalBenchmark`."""
        (language,) = self.languages
        root = self.ann_root / 'wit' / ('annotations_machine-translate' if self.translate_test else 'annotations')
        name = f'{self.split}_{language}{"_gmt" if self.translate_test else ""}.jsonl'
        return group_captions(read_wit_captions(find_file(root, name), language))

    def fields(self, row: CaptionedRow) -> dict[str, str]:
        """See `RetrievalBenchmark`."""
        return {'image_id': row.image_id, 'language': self.languages[0]}
