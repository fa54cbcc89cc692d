"""Tables of suites: numbers worked out by hand, equal cells in all forms, nothing unescaped, nothing hidden."""

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from PIL import Image
from rich.console import Console

from rc3mm.visualization.suite_chart import draw_suite
from rc3mm.visualization.suite_report import to_csv, to_latex, to_markdown, to_rich
from rc3mm.visualization.suite_rows import (
    SuiteRow,
    SuiteTable,
    count_text,
    kept_share,
    mean_of,
    measured_row,
    peer_rows,
)

ROOT = Path(__file__).resolve().parents[2]
ABOUT: dict[str, Any] = dict(task='xGQA', metric='accuracy', setting='zero-shot', split='test', items='9 per language')


def example() -> SuiteTable:
    controls = {'text only': {'en': 40.0, 'de': 30.0}}
    first = measured_row({'zh': 50.0, 'en': 80.0, 'de': 60.0}, controls, chance=20.0, **ABOUT)
    second = measured_row({'de': 31.25}, {}, languages=('de',), **ABOUT | dict(task='MMT', metric='BLEU'))
    return SuiteTable('a suite', [first, second])


def shown(table: SuiteTable, width: int = 200) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(to_rich(table))
    return file.getvalue()


# -- numbers


def test_means_by_hand() -> None:
    assert mean_of({'en': 90.0, 'de': 10.0, 'zh': 30.0}) == 20.0
    assert mean_of({'en': 90.0}) is None and mean_of({}) is None
    assert mean_of({'en': 90.0, 'de': 10.0}, ('en', 'de')) == 50.0
    # a mean over what happens to be there would compare unlike with unlike
    assert mean_of({'de': 10.0}, ('de', 'fr')) is None


def test_kept_share_by_hand() -> None:
    assert kept_share(80.0, 50.0, 20.0) == 50.0
    assert kept_share(80.0, 60.0, 0.0) == 75.0  # chance 0 is a number, not the lack of one
    assert kept_share(80.0, 90.0, 50.0) == pytest.approx(400 / 3)  # better than in English
    assert kept_share(80.0, 40.0, 50.0) == pytest.approx(-100 / 3)
    assert kept_share(50.0, 50.0, 50.0) is None and kept_share(40.0, 50.0, 50.0) is None
    assert kept_share(None, 50.0, 0.0) is None and kept_share(80.0, None, 0.0) is None
    assert kept_share(80.0, 50.0, None) is None


def test_zero_shot_and_supervised_rows() -> None:
    zero_shot, supervised = example().rows
    assert (zero_shot.mean, zero_shot.controls, zero_shot.note) == (55.0, {'text only': 40.0}, '')
    assert zero_shot.kept == pytest.approx(100 * 35 / 60)
    assert (supervised.mean, supervised.kept, supervised.note) == (31.25, None, '')
    controls = {'no image': {'en': 1.0, 'de': 3.0}, 'broken': {'de': 3.0}}
    row = measured_row({'en': 10.0, 'de': 20.0}, controls, languages=('en', 'de'), chance=0.0, **ABOUT)
    assert (row.mean, row.kept, row.controls) == (15.0, None, {'no image': 2.0})
    assert row.note == 'mean includes en; controls: mean of the languages'


def test_items_in_words() -> None:
    assert count_text({'de': 1200, 'zh': 1200}) == '1,200 per language'
    assert count_text({'id': 1128, 'zh': 1012, 'en': 1242}) == '1,012-1,242 per language'
    assert count_text({}, 1500) == '1,500 in all' and count_text({'de': None}) == 'number of items not known'


def test_columns_of_controls_say_what_they_are_of() -> None:
    zero_shot = measured_row({'en': 9.0}, {'text only': {'en': 1.0}}, **ABOUT)
    controls = {'text only': {'de': 2.0}, 'wrong image': {'de': 3.0}}
    supervised = measured_row({'de': 9.0}, controls, languages=('de',), **ABOUT | dict(task='MMT'))
    header = to_markdown(SuiteTable('t', [zero_shot, supervised])).splitlines()[2]
    assert '|text only (en)|wrong image (mean)|' in header
    assert supervised.note == 'controls: mean of the languages'


# -- peers


@pytest.fixture(scope='module')
def published() -> dict[str, Any]:
    return Config.fromfile(ROOT / 'configs/_base_/published.py').published.to_dict()


def test_published_numbers_are_whole(published: dict[str, Any]) -> None:
    keys = {'title', 'source', 'setting', 'split', 'protocol', 'items', 'languages', 'metrics'}
    assert list(published) == ['xvnli', 'xgqa', 'marvl', 'xflickrco', 'wit']
    for benchmark in published.values():
        assert set(benchmark) == keys and 'en' not in benchmark['languages']
        for models in benchmark['metrics'].values():
            assert list(models) == ['mUNITER', 'xUNITER', 'UC2', 'M3P']
            for numbers in models.values():
                assert set(numbers) - {'mean'} <= set(benchmark['languages']) and 0 < numbers['mean'] < 100


def test_peers_of_the_same_split_and_protocol(published: dict[str, Any]) -> None:
    languages = ('en', *published['xgqa']['languages'])
    row = measured_row(dict.fromkeys(languages, 50.0), {}, **ABOUT | dict(setting='zero-shot, tuned on English'))
    rows = peer_rows(row, dict.fromkeys(languages, 9666), published['xgqa'], 'accuracy')
    assert [peer.model for peer in rows] == ['mUNITER', 'xUNITER', 'UC2', 'M3P']
    assert rows[2].scores == {'de': 42.85, 'zh': 31.16} and rows[2].mean == 29.35
    assert all(peer.note.startswith('same split and protocol; source: IGLUE') for peer in rows)
    assert rows[0].items == '9,666 per language' and rows[0].task == 'xGQA'
    assert peer_rows(row, {}, published['xgqa'], 'accuracy_labelled') == []  # another metric
    assert peer_rows(row, {}, published['wit'], 'itm_t2i_R@1')[0].mean == 9.16


def test_what_differs_is_told(published: dict[str, Any]) -> None:
    row = measured_row({'en': 1.0, 'de': 2.0, 'fr': 3.0}, {}, **ABOUT | dict(split='testdev', setting='few-shot'))
    (note,) = {peer.note for peer in peer_rows(row, {'de': 12578}, published['xgqa'], 'accuracy', 'no regions')}
    assert note.startswith(
        'no regions; ours is few-shot; ours is split testdev; their mean is of de zh bn id ko pt ru; '
        'other numbers of items in de; source: IGLUE'
    )
    unknown = peer_rows(measured_row({'en': 1.0, 'de': 2.0}, {}, **ABOUT), {}, published['xgqa'], 'accuracy')
    assert 'numbers of items not known' in unknown[0].note


# -- forms


def test_markdown_by_hand() -> None:
    assert to_markdown(example()).splitlines() == [
        '**a suite**',
        '',
        '|task|metric|setting|split|items|en|de|zh|mean w/o en|chance|text only (en)|kept %|',
        '|-|-|-|-|-|-:|-:|-:|-:|-:|-:|-:|',
        '|xGQA|accuracy|zero-shot|test|9 per language|80.0|60.0|50.0|55.0|20.0|40.0|58.3|',
        '|MMT|BLEU|zero-shot|test|9 per language|-|31.2|-|31.2|-|-|-|',
    ]


def test_csv_is_unrounded() -> None:
    header, first, second = csv.reader(io.StringIO(to_csv(example())))
    assert header[5:] == ['en', 'de', 'zh', 'mean w/o en', 'chance', 'text only (en)', 'kept %']
    assert first[5:10] == ['80.0', '60.0', '50.0', '55.0', '20.0'] and float(first[-1]) == 100 * 35 / 60
    assert second[5:] == ['', '31.25', '', '31.25', '', '', '']


def test_latex_by_hand() -> None:
    text = to_latex(example())
    assert text.splitlines() == [
        r'% needs \usepackage{booktabs}',
        '',
        r'\begin{table}[t]',
        r'\centering',
        r'\small',
        r'\caption{a suite. xGQA accuracy, MMT BLEU: zero-shot, split test, 9 per language.}',
        r'\begin{tabular}{llrrrrrrr}',
        r'\toprule',
        r'task & metric & en & de & zh & mean w/o en & chance & text only (en) & kept \% \\',
        r'\midrule',
        r'xGQA & accuracy & 80.0 & 60.0 & 50.0 & 55.0 & 20.0 & 40.0 & 58.3 \\',
        r'\midrule',
        r'MMT & BLEU & - & 31.2 & - & 31.2 & - & - & - \\',
        r'\bottomrule',
        r'\end{tabular}',
        r'\end{table}',
    ]


def test_nothing_is_taken_for_markup() -> None:
    row = SuiteRow('[b]x|F&CO_1 50% {a} \\n ~^', '*t→i <R@1>', {'en': 1.0}, None, 'zero-shot', 'test', '1 #')
    table = SuiteTable('a_b', [row])
    latex = to_latex(table)
    assert r'{[}b]x\textbar{}F\&CO\_1 50\% \{a\} \textbackslash{}n \textasciitilde{}\textasciicircum{}' in latex
    assert r'{*}t$\rightarrow$i \textless{}R@1\textgreater{}' in latex and r'1 \#' in latex and r'a\_b' in latex
    (line,) = (line for line in to_markdown(table).splitlines() if 'F&CO' in line)
    assert len(re.findall(r'(?<!\\)\|', line)) == 10 and r'\*t→i \<R@1>' in line
    assert '[b]x|F&CO_1' in shown(table)
    assert '[b]x|F&CO_1 50% {a} \\n ~^' in next(iter(csv.DictReader(io.StringIO(to_csv(table)))))['task']


def test_all_forms_tell_setting_split_items_and_mean(published: dict[str, Any]) -> None:
    table = example()
    peers = peer_rows(table.rows[0], {'de': 9}, published['xgqa'], 'accuracy', 'patches only')
    table = SuiteTable('a suite', [table.rows[0], *peers, table.rows[1]])
    latex, markdown, rich = to_latex(table), to_markdown(table), ' '.join(shown(table, 120).split())
    for text in (latex, markdown, rich):
        for word in ('zero-shot', 'test', '9 per language', '58.3', 'UC2', '42.9', '29.4', 'patches only'):
            assert word in text, word
        assert 'mean' in text and 'w/o' in text
    assert '|model|' in markdown and markdown.count('patches only') == 4
    assert latex.count('mUNITER, xUNITER, UC2, M3P on xGQA: patches only') == 1 and rich.count('patches only') == 1
    header = next(csv.reader(io.StringIO(to_csv(table))))
    assert header[2] == 'model' and header[-1] == 'notes'


def test_too_many_languages_make_several_tables() -> None:
    sets = {'A': 'en de zh bn id', 'B': 'en fr ar es ru', 'C': 'id zh bn de en'}
    rows = [measured_row(dict.fromkeys(s.split(), 1.0), {}, **ABOUT | dict(task=task)) for task, s in sets.items()]
    assert len(SuiteTable('t', rows[::2]).parts()) == 1
    rows += [measured_row({'de': 1.0, 'cs': 1.0, 'ja': 1.0}, {}, **ABOUT | dict(task='D'))]
    parts = SuiteTable('t', rows).parts()
    assert [[row.task for row in part.rows] for part in parts] == [['A', 'C'], ['B'], ['D']]
    assert to_markdown(SuiteTable('t', rows)).count('|task|') == 3
    assert to_latex(SuiteTable('t', rows)).count('\\toprule') == 3 and shown(SuiteTable('t', rows)).count('task') == 3
    assert to_csv(SuiteTable('t', rows)).count('\n') == 5


def test_numbers_are_never_cut() -> None:
    controls = {'text only': {'en': 40.0}, 'image only': {'en': 30.0}}
    languages = ('en', 'de', 'fr', 'cs', 'ja', 'zh')
    row = measured_row({name: 100.0 - n for n, name in enumerate(languages)}, controls, chance=12.5, **ABOUT)
    text = shown(SuiteTable('emoji_scenes', [row]), 80)
    assert max(map(len, text.splitlines())) <= 80 and '…' not in text
    for cell in ('xGQA accuracy', '100.0', '99.0', '98.0', '97.0', '96.0', '95.0', '12.5', '40.0', '30.0', '96.6'):
        assert cell in text


def test_chart(tmp_path: Path, published: dict[str, Any]) -> None:
    table = example()
    peers = peer_rows(table.rows[0], {}, published['xgqa'], 'accuracy')
    draw_suite(SuiteTable('a suite', [table.rows[0], *peers, table.rows[1]]), tmp_path / 'new/chart.png')
    with Image.open(tmp_path / 'new/chart.png') as picture:
        assert picture.width > 2 * picture.height  # two panels side by side
    with pytest.raises(ValueError, match='no row to draw'):
        draw_suite(SuiteTable('none of ours', peers), tmp_path / 'chart.png')
    nothing = SuiteRow('t', 'm', {'en': 0.0}, None, 's', 'test', '1')
    draw_suite(SuiteTable('zeros', [nothing]), tmp_path / 'zeros.png')
