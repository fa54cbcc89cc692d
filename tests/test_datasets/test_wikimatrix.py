"""WikiMatrix: rows above the threshold from several files, languages from their names."""

import pickle
from collections import Counter
from pathlib import Path

import pytest

from rc3mm.datasets import WikiMatrix
from rc3mm.registry import DATASETS

ROWS = ['1.20\tHund {0}\tdog {0}', '1.04\tKatze {0}\tcat {0}', '1.03\tfalsch\twrong', '0.9\tfalsch\twrong']


def write(folder: Path, codes: str, lines: list[str]) -> Path:
    path = folder / f'WikiMatrix.{codes}.tsv'
    path.write_text('\n'.join(lines) + '\n', encoding='utf-8')
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    rows = [row.format(k) for k in range(50) for row in ROWS]
    return [write(tmp_path, 'de-en', rows), write(tmp_path, 'en-ja', ['1.5\ta dog\t犬'])]


def test_rows_above_the_threshold(files: list[Path]) -> None:
    dataset = DATASETS.build(dict(type='WikiMatrix', files=list(map(str, files))))
    assert len(dataset) == 101
    samples = [dataset[k] for k in range(101)]
    assert dict(samples[0]['texts']) == {'de': 'Hund 0', 'en': 'dog 0'}
    assert dict(samples[99]['texts']) == {'de': 'Katze 49', 'en': 'cat 49'}
    assert dict(samples[100]['texts']) == {'en': 'a dog', 'ja': '犬'}
    assert [samples[k]['image_id'] for k in (1, 99, 100)] == [
        'wikimatrix-de-en-2',
        'wikimatrix-de-en-198',
        'wikimatrix-en-ja-1',
    ]
    assert {sample['source'] for sample in samples} == {'parallel'}
    assert not any('wrong' in str(sample['texts']) for sample in samples)


def test_order_within_pairs_depends_on_seed_and_index(files: list[Path]) -> None:
    first, again, other = (WikiMatrix(files=files, seed=seed) for seed in (1, 1, 2))
    texts = [first[k]['texts'] for k in range(100)]
    assert texts == [pickle.loads(pickle.dumps(again))[k]['texts'] for k in range(100)]
    assert texts != [other[k]['texts'] for k in range(100)]
    assert min(Counter(pair[0][0] for pair in texts).values()) > 25


def test_metainfo(files: list[Path]) -> None:
    info = WikiMatrix(files=files, threshold=1.1).metainfo
    assert info['languages'] == ('de', 'en', 'ja') and info['num_items'] == 51 and info['threshold'] == 1.1


def test_another_threshold_has_an_index_of_its_own(files: list[Path]) -> None:
    assert [len(WikiMatrix(files=files, threshold=t)) for t in (1.04, 1.2, 0.0, 1.04)] == [101, 51, 201, 101]
    names = {path.name for path in files[0].parent.glob('*de-en*.npy')}
    assert names == {f'WikiMatrix.de-en.tsv.index-margin{t}.npy' for t in ('1.04', '1.2', '0')}


def test_malformed_rows_are_left_out_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr('rc3mm.datasets.wikimatrix.print_log', lambda message, **_: said.append(message))
    rows = ['1.2\tgut\tgood', 'score\ta\tb', '1.2\tone column', '1.2\ta\tb\tc', '1.2\t\tempty', 'nan\ta\tb']
    dataset = WikiMatrix(files=[write(tmp_path, 'de-en', rows)])
    assert len(dataset) == 1
    assert len(said) == 1 and 'WikiMatrix.de-en.tsv: 5 rows are not (margin score, source, target)' in said[0]


def test_errors(tmp_path: Path) -> None:
    (tmp_path / 'WikiMatrix.cs-de.tsv.gz').write_bytes(b'')
    with pytest.raises(ValueError, match=r'gunzip -k .*cs-de\.tsv\.gz.* give WikiMatrix\.cs-de\.tsv'):
        WikiMatrix(files=[tmp_path / 'WikiMatrix.cs-de.tsv.gz'])
    with pytest.raises(FileNotFoundError, match=r'gunzip -k .*cs-de\.tsv\.gz'):
        WikiMatrix(files=[tmp_path / 'WikiMatrix.cs-de.tsv'])
    with pytest.raises(FileNotFoundError, match=r'no file .*WikiMatrix\.de-en\.tsv'):
        WikiMatrix(files=[tmp_path / 'WikiMatrix.de-en.tsv'])
    with pytest.raises(ValueError, match='expected a name such as'):
        WikiMatrix(files=[tmp_path / 'de-en.tsv'])
    with pytest.raises(ValueError, match=r'de-fr\.tsv: no row is .* with a margin of 1\.04 or more'):
        WikiMatrix(files=[write(tmp_path, 'de-fr', ['1.0\ta\tb'])])
    with pytest.raises(ValueError, match='at least one file'):
        WikiMatrix(files=[])
