"""The metrics table: order, the mean without English, labels, and equal cells in rich and in Markdown."""

import io

import pytest
from rich.console import Console

from rc3mm.evaluation.metrics import RetrievalMetric
from rc3mm.visualization import headlines_table, metrics_markdown, metrics_table

LABELS = {'setting': 'zero-shot', 'split': 'test', 'num_items': 1000}


def metrics_of(languages, reranked=True):
    metric = RetrievalMetric()
    for language in languages:
        metric.process(
            None,
            [
                {
                    'direction': d,
                    'language': language,
                    'query_id': i,
                    'rank': i + 1,
                    'reranked': 1 if reranked else None,
                }
                for d in ('t2i', 'i2t')
                for i in range(4)
            ],
        )
    return metric.evaluate(1)


def render(table):
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


def test_markdown_by_hand():
    text = metrics_markdown(metrics_of(['zh', 'en', 'de'], reranked=False), **LABELS)
    assert text.splitlines() == [
        '**zero-shot, split test, 1,000 images; recall in %**',
        '',
        '|language|t2i R@1|t2i R@5|t2i R@10|i2t R@1|i2t R@5|i2t R@10|num t2i|num i2t|',
        '|-|-:|-:|-:|-:|-:|-:|-:|-:|',
        '|en|25.0|100.0|100.0|25.0|100.0|100.0|4|4|',
        '|de|25.0|100.0|100.0|25.0|100.0|100.0|4|4|',
        '|zh|25.0|100.0|100.0|25.0|100.0|100.0|4|4|',
        '|**mean w/o en**|**25.0**|**100.0**|**100.0**|**25.0**|**100.0**|**100.0**|**-**|**-**|',
    ]


def test_reranked_columns_and_rich_twin():
    metrics = metrics_of(['en', 'ja'])
    table = metrics_table(metrics, **LABELS)
    text = render(table)
    assert [str(column.header).replace('\n', ' ') for column in table.columns][7:9] == [
        'ITM t2i R@1',
        'ITM i2t R@1',
    ]
    assert 'zero-shot, split test, 1,000 images' in text
    assert 'mean w/o en' in text
    markdown = metrics_markdown(metrics, **LABELS)
    cells = [cell.strip('*') for line in markdown.splitlines()[4:] for cell in line.strip('|').split('|')]
    rich_cells = [cell for row in zip(*(column.cells for column in table.columns), strict=True) for cell in row]
    assert rich_cells == cells


def test_english_alone_has_no_mean_row():
    assert 'mean' not in metrics_markdown(metrics_of(['en']), **LABELS)


def test_names_without_prefix_and_other_metrics():
    metrics = {'de/t2i_R@1': 12.345, 'shortcut/de/accuracy': 50.0, 'loss': 1.0, 'fr/i2t_R@1': 1.0}
    lines = metrics_markdown(metrics, **LABELS).splitlines()[2:]
    assert lines == ['|language|t2i R@1|i2t R@1|', '|-|-:|-:|', '|de|12.3|-|', '|fr|-|1.0|']
    with pytest.raises(ValueError, match='no retrieval metric'):
        metrics_table({'loss': 1.0}, **LABELS)


def test_the_whole_table_fits_a_terminal_of_80_columns() -> None:
    """Nothing is cut, even with every column and full recall."""
    metrics = {}
    for language in ('en', 'de', 'ja', 'mean'):
        for direction in ('t2i', 'i2t'):
            metrics |= {f'retrieval/{language}/{direction}_R@{k}': 100.0 for k in (1, 5, 10)}
            metrics |= {f'retrieval/{language}/itm_{direction}_R@1': 100.0}
            metrics |= {f'retrieval/{language}/num_{direction}': 5000} if language != 'mean' else {}
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(metrics_table(metrics, setting='zero-shot', split='test', num_items=5000))
    text = console.export_text()
    assert '\u2026' not in text and max(map(len, text.splitlines())) <= 80
    assert text.count('100.0') == 4 * 8


def test_headlines_leave_single_languages_out() -> None:
    metrics = {'probe/mean_auc': 91.25, 'probe/de/auc': 90.0, 'proximity/num_pairs': 12, 'proximity/spearman': 0.5}
    table = headlines_table(metrics, 'weak, split test')
    cells = list(zip(*(list(column.cells) for column in table.columns), strict=True))
    assert cells == [('probe/mean_auc', '91.250'), ('proximity/num_pairs', '12'), ('proximity/spearman', '0.500')]
