"""DropReport: faults have a limit, rules have none, and the state is a function of what was counted."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rc3mm.datasets.shards import DropLimitError, DropReport


def test_faults_and_rules_are_told_apart() -> None:
    report = DropReport()
    for line in range(1, 11):
        report.read()
        if line % 3 == 0:
            report.fault('not UTF-8', f'a.tsv:{line}', 'byte 0xff')
        elif line % 5 == 0:
            report.rule('too short', f'a.tsv:{line}')
        else:
            report.kept()
    report.rule('other language', count=7)
    assert (report.num_read, report.num_kept, report.num_faults) == (10, 5, 3)
    assert [(row.kind, row.reason, row.count) for row in report.rows()] == [
        ('fault', 'not UTF-8', 3),
        ('rule', 'other language', 7),
        ('rule', 'too short', 2),
    ]
    assert report.rows()[0].samples[0] == ('a.tsv:3', 'byte 0xff') and report.rows()[1].samples == []


def test_too_many_faults_end_it_and_name_the_worst() -> None:
    report = DropReport(max_fault_share=0.01)
    report.read(2000)
    report.rule('too short', count=1500)  # rules never do
    for line in range(15):
        report.fault('5 columns', f'b.tsv:{line}', 'x' * 500)
    for line in range(5):
        report.fault('not UTF-8', f'a.tsv:{line}')
    with pytest.raises(DropLimitError) as caught:
        report.fault('not UTF-8', 'a.tsv:9', 'byte 0xff')
    message = str(caught.value)
    assert message.startswith('a.tsv:9: not UTF-8: byte 0xff. That makes 21 malformed of 2,000 rows read')
    assert '5 columns (15: b.tsv:0, b.tsv:1, b.tsv:2, ...); not UTF-8 (6: ' in message
    assert 'max_fault_share = 0.01' in message and '--max-fault-share' in message
    assert all(len(detail) <= 200 for row in report.rows() for _, detail in row.samples)


def test_a_share_is_of_a_thousand_rows_at_least() -> None:
    report = DropReport(max_fault_share=0.01)
    report.read(3)
    for line in range(10):
        report.fault('broken', str(line))
    with pytest.raises(DropLimitError):
        report.fault('broken', '10')


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 60), st.lists(st.sampled_from('abc'), min_size=1, max_size=60))
def test_going_on_from_the_state_is_as_if_nothing_had_happened(stop: int, reasons: list[str]) -> None:
    whole, first = DropReport(1.0, samples=3), DropReport(1.0, samples=3)

    def count(report: DropReport, start: int, stop: int) -> None:
        for place, reason in list(enumerate(reasons))[start:stop]:
            report.read()
            report.fault(reason, f'line {place}')

    count(whole, 0, 60)
    count(first, 0, stop)
    second = DropReport.from_json(json.loads(json.dumps(first.to_json())), 1.0, samples=3)
    count(second, stop, 60)
    assert second.to_json() == whole.to_json()


def test_samples_are_the_first_and_a_choice_of_the_rest() -> None:
    report = DropReport(1.0, samples=5)
    for line in range(10_000):
        report.rule('short', f'{line}')
    places = [int(where) for where, _ in report.rows()[0].samples]
    assert places[:3] == [0, 1, 2] and min(places[3:]) > 100 and report.rows()[0].count == 10_000


def test_reports_of_several_files_are_merged() -> None:
    parts = [DropReport(), DropReport()]
    for number, part in enumerate(parts):
        part.read(10)
        part.kept(4)
        part.rule('short', f'file {number}', count=6)
    whole = DropReport()
    whole.merge(parts)
    (row,) = whole.rows()
    assert (whole.num_read, whole.num_kept, row.count) == (20, 8, 12)
    assert [where for where, _ in row.samples] == ['file 0', 'file 1']


def test_rows_that_are_lost_together_count_one_by_one() -> None:
    report = DropReport(max_fault_share=0.01)
    report.read(20)
    report.fault('image cannot be read', 'a:1', count=10)
    assert report.num_faults == 10 and len(report.rows()[0].samples) == 1
    with pytest.raises(DropLimitError, match='14 malformed of 20'):
        report.fault('image cannot be read', 'a:11', count=4)


def test_what_no_file_may_hold_is_written_out() -> None:
    report = DropReport()
    report.rule('short', 'a\udcff.tsv:1', 'half \ud800 of a pair')
    assert report.rows()[0].samples == [('a\\udcff.tsv:1', 'half \\ud800 of a pair')]


@pytest.mark.parametrize('arguments', [{'max_fault_share': 1.5}, {'samples': 0}])
def test_wrong_arguments(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        DropReport(**arguments)  # type: ignore[arg-type]
