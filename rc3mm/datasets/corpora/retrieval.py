"""Retrieval sets: some thousand images, each with a few captions in some languages, held in memory."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rc3mm.datasets.corpora.converted import Converted, FindImage, checked, pick_texts
from rc3mm.datasets.corpora.lines import RowError
from rc3mm.datasets.shards.drops import DropReport
from rc3mm.datasets.shards.record import ImageTextRecord

__all__ = ['RetrievalImage', 'RetrievalImages']


@dataclass
class RetrievalImage:
    """An image of a retrieval set.

    Attributes:
        image_id: as the set calls it.
        name: path of the image below the folder of images.
        where: file and line.
        texts: (language, caption) pairs.
    """

    image_id: str
    name: str
    where: str
    texts: list[tuple[str, str]] = field(default_factory=list)


class RetrievalImages:
    """Records of a retrieval set.

    Args:
        images: the images.
        report: counts them.
        find_image: finds an image by its path.
    """

    def __init__(self, images: Sequence[RetrievalImage], report: DropReport, find_image: FindImage) -> None:
        self.images, self.report, self.find_image = images, report, find_image

    def __call__(self, cursor: int | None) -> Iterator[Converted]:
        """Yield the records behind a cursor: the number of images consumed."""
        seen: Counter[str] = Counter()
        for number, image in enumerate(self.images, start=1):
            seen[image.image_id] += 1
            if number <= (cursor or 0):
                continue
            self.report.read()
            # an image that comes twice (Multi30K's COCO test) is two rows, which need two ids
            count = seen[image.image_id]
            image_id = image.image_id if count == 1 else f'{image.image_id}-{count}'
            try:
                record = self._record(image, image_id)
            except RowError as error:
                self.report.fault(error.reason, image.where, error.detail)
                continue
            if record is not None:
                self.report.kept()
                yield record, number, number / len(self.images)

    def _record(self, image: RetrievalImage, image_id: str) -> ImageTextRecord | None:
        texts = pick_texts(image.texts, image.where, self.report)
        if not texts:
            self.report.rule('no caption', image.where, image.name)
            return None
        place = self.find_image(image.name, image.where, self.report)
        if place is None:
            return None
        return checked(ImageTextRecord(image_id, tuple(texts), source_id=image.where, **place))
