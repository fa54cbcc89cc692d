"""Message hub as plain data, log lines, and what the report chooses to show."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import MessageHub

from rc3mm.engine.hooks.report import gallery_rows, read_history
from rc3mm.engine.message_hub import pack_message_hub, unpack_message_hub
from rc3mm.utils.checkpoint import read_checkpoint, write_checkpoint


def test_message_hub_survives_a_checkpoint(tmp_path: Path) -> None:
    hub = MessageHub.get_instance('test_message_hub')
    for value in (1.0, 2.0, 3.0):
        hub.update_scalar('train/loss', torch.tensor(value))
    hub.update_info('best_score', np.float64(0.5))
    hub.update_info('keep_ckpt_ids', [1, 2])
    hub.update_info('live_object', object(), resumed=False)
    write_checkpoint({'state_dict': {}, 'hub': pack_message_hub(hub.state_dict())}, tmp_path / 'a.pth')
    restored = MessageHub.get_instance('test_message_hub_restored')
    restored.load_state_dict(unpack_message_hub(read_checkpoint(tmp_path / 'a.pth')['hub']))
    assert restored.get_scalar('train/loss').mean(2) == 2.5
    assert restored.get_info('best_score') == 0.5
    assert restored.get_info('keep_ckpt_ids') == [1, 2]
    assert 'live_object' not in restored.runtime_info


def test_history_joins_resumed_runs_and_bears_a_cut_line(tmp_path: Path) -> None:
    for name, lines in (
        ('1', [{'loss': 3.0, 'step': 10}, {'loss': 2.0, 'step': 20}, {'retrieval/mean_R@1': 5.0, 'step': 20}]),
        ('2', [{'loss': 1.5, 'step': 20}, {'loss': 1.0, 'step': 30}, {'retrieval/de/t2i_R@1': 5.0, 'step': 20}]),
    ):
        folder = tmp_path / name / 'vis_data'
        folder.mkdir(parents=True)
        text = '\n'.join(json.dumps(line) for line in lines) + '\n{"loss": 0.'
        (folder / 'scalars.json').write_text(text)
    history = read_history(tmp_path)
    assert history == {'loss': [(10, 3.0), (20, 1.5), (30, 1.0)], 'retrieval/mean_R@1': [(20, 5.0)]}


class Pictures:
    """Answers for a dataset's images."""

    def get_image(self, number: int) -> np.ndarray:
        return np.full((2, 2, 3), number, dtype=np.uint8)


def item(direction: str, language: str, query: int, right: int) -> dict[str, Any]:
    return {
        'direction': direction,
        'language': language,
        'query_id': query,
        'query': f'text {query}' if direction == 't2i' else f'image {query}',
        'rank': 3,
        'reranked': 1,
        'retrieved': [f'text {n}' for n in range(3)],
        'retrieved_numbers': [0, 1, 2],
        'positive_numbers': [right],
    }


def test_gallery_shows_every_language_and_marks_what_is_right() -> None:
    items = [item(d, lang, q, q % 3) for d in ('t2i', 'i2t') for lang in ('en', 'ja') for q in range(9)]
    rows = gallery_rows(items, Pictures(), per_language=2)
    assert [(row.direction, row.language) for row in rows] == [
        (d, lang) for lang in ('en', 'ja') for d in ('t2i', 't2i', 'i2t')
    ]
    for row in rows:
        assert row.rank == 1 and sum(row.correct) == 1
    text_row, image_row = rows[0], rows[2]
    assert isinstance(text_row.query, str) and [int(image[0, 0, 0]) for image in text_row.retrieved] == [0, 1, 2]
    assert not isinstance(image_row.query, str) and image_row.retrieved == ['text 0', 'text 1', 'text 2']
