"""Small benchmarks in their published layouts, and where real annotation files lie."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

SHARED = Path(__file__).resolve().parents[3].parent / 'shared' / 'data'
IGLUE, MULTI30K = SHARED / 'iglue', SHARED / 'multi30k'
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason='the annotation files of ../shared/data are not here')


def write_lines(path: Path, entries: Sequence[Any]) -> Path:
    """Entries as JSON lines; texts and bytes as they are. Compressed, if the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [entry if isinstance(entry, bytes) else _as_text(entry).encode() for entry in entries]
    data = b''.join(line + b'\n' for line in lines)
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == '.gz' else data)
    return path


def _as_text(entry: Any) -> str:
    return entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False)


def write_json(path: Path, content: Any) -> Path:
    """A JSON file."""
    return write_lines(path, [json.dumps(content, ensure_ascii=False)])


def xvnli_line(number: int, gold: str = 'neutral', **more: Any) -> dict[str, Any]:
    """A line of XVNLI."""
    return {
        'gold_label': gold,
        'sentence1': 'a premise',
        'sentence2': f'hypothesis {number}',
        'captionID': f'{number // 3}.jpg#0',
        'pairID': f'{number // 3}.jpg#0r{number}e',
        'Flikr30kID': str(number // 3),
        **more,
    }


def xvnli_root(folder: Path, lines: Sequence[Any], language: str = 'en') -> Path:
    """XVNLI's test in a language."""
    write_lines(folder / f'XVNLI/annotations/{language}/test.jsonl', lines)
    return folder


def write_labels(root: Path, answers: Sequence[str] = ('no', 'yes', 'dog')) -> Path:
    """GQA's label maps."""
    write_json(root / 'gqa/annotations/trainval_label2ans.json', list(answers))
    write_json(root / 'gqa/annotations/trainval_ans2label.json', {answer: k for k, answer in enumerate(answers)})
    return root


def marvl_line(number: int, language: str = 'zh', folder: str = '', **more: Any) -> dict[str, Any]:
    """A line of MaRVL; four follow each other with one sentence."""
    return {
        'concept': '82-铅笔',
        'language': language,
        'caption': f'句子{number // 4}',
        'left_img': f'{folder}82-{number}.jpg',
        'right_img': f'{folder}82-{number + 1}.jpg',
        'annotator_info': {},
        'chapter': 'Cognition',
        'id': f'{language}-{number}',
        'label': number % 2 == 0,
        **more,
    }


def wit_line(image: int, caption: str, language: str = 'ja', **more: Any) -> dict[str, Any]:
    """A line of WIT's retrieval."""
    return {
        'image_idx': 7,  # several images may have the same
        'image_url': f'https://upload.wikimedia.org/{image}.svg',
        'meta_url': '',
        'caption_reference_description': caption,
        'language': language,
        'page_url': '',
        'wit_ix': f'wit-test_{image}',
        **more,
    }


def flickr_line(image: int | str, captions: Sequence[str], coco: bool = False) -> dict[str, Any]:
    """A line of Flickr30k or xFlickr&CO."""
    name = f'COCO_val2014_{int(image):012d}.jpg' if coco else f'{image}.jpg'
    return {'sentences': list(captions), 'id': int(image) if coco else str(image), 'img_path': name}


def write_image(path: Path | str, size: tuple[int, int] = (12, 8), shade: int = 0) -> None:
    """A picture."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size, (shade, 100, 200)).save(path)
