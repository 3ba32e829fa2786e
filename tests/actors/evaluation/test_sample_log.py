"""The sample log: what was written is read back, once, whatever a death cut off."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.errors import RunFailed
from actors.evaluation.records import GeneratedSample, SampleKey, SampleVerdict
from actors.evaluation.sample_log import SampleLog, read_sample_log
from curriculum.datasets.jsonl import decode_line, nonblank_lines
from sandbox import Outcome


def key(number: int) -> SampleKey:
    return SampleKey("suite", "p/1", number)


def sample(number: int) -> GeneratedSample:
    return GeneratedSample(
        key(number), "P/1", f"x = {number}\n", "```\nx\u2028\ud800\n```", (4, 8), "stop", 7, 3
    )


def verdict(number: int, outcome: Outcome = Outcome.passed) -> SampleVerdict:
    return SampleVerdict(key(number), outcome, "E: m", 3, 4, 2, (1, 2), 0.25, True, False, "docker")


def test_samples_and_verdicts_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    log = SampleLog(tmp_path)
    for number in range(3):
        log.add_sample(sample(number))
    log.add_verdict(verdict(1))
    again = SampleLog(tmp_path)
    assert again.samples == {key(n): sample(n) for n in range(3)}
    assert again.verdicts == {key(1): verdict(1)}
    assert again.unjudged == [sample(0), sample(2)]


def test_a_line_that_a_death_cut_off_is_written_again(tmp_path: Path) -> None:
    log = SampleLog(tmp_path)
    log.add_sample(sample(0))
    log.add_verdict(verdict(0))
    whole = [path.read_bytes() for path in (log.samples_path, log.verdicts_path)]
    log.add_sample(sample(1))
    log.add_verdict(verdict(1))
    for path in (log.samples_path, log.verdicts_path):
        path.write_bytes(path.read_bytes()[:-5])
    again = SampleLog(tmp_path)
    assert [*again.samples, *again.verdicts] == [key(0), key(0)]
    assert [path.read_bytes() for path in (log.samples_path, log.verdicts_path)] == whole
    again.add_sample(sample(1))
    assert SampleLog(tmp_path).unjudged == [sample(1)]


def test_what_the_sandbox_could_not_judge_is_judged_again(tmp_path: Path) -> None:
    log = SampleLog(tmp_path)
    for number in range(2):
        log.add_sample(sample(number))
    log.add_verdict(verdict(0, Outcome.infra_error))
    log.add_verdict(verdict(1))
    again = SampleLog(tmp_path)
    assert again.unjudged == [sample(0)]
    again.add_verdict(verdict(0))
    assert SampleLog(tmp_path).verdicts == {key(1): verdict(1), key(0): verdict(0)}


def test_nothing_is_generated_or_judged_twice(tmp_path: Path) -> None:
    log = SampleLog(tmp_path)
    log.add_sample(sample(0))
    with pytest.raises(RunFailed, match="sample 0 of suite p/1 is there twice"):
        log.add_sample(sample(0))
    log.add_verdict(verdict(0))
    with pytest.raises(RunFailed, match="is judged twice"):
        log.add_verdict(verdict(0))
    with pytest.raises(RunFailed, match=r"is judged and is not in samples\.jsonl"):
        log.add_verdict(verdict(1))
    assert log.samples_path.read_bytes().count(b"\n") == 1


def test_a_file_of_something_else_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text('{"task_id": "HumanEval/0"}\n')
    with pytest.raises(RunFailed, match=r"samples\.jsonl: line 1 is not one of this version"):
        SampleLog(tmp_path)
    path.write_text("{\n")
    for read in (SampleLog, read_sample_log):
        with pytest.raises(RunFailed, match=r"line 1 is not JSON: .* Remove it: --resume makes"):
            read(tmp_path)


def test_a_removed_line_is_made_again_and_a_repeated_one_refused(tmp_path: Path) -> None:
    log = SampleLog(tmp_path)
    for number in range(2):
        log.add_sample(sample(number))
        log.add_verdict(verdict(number))
    samples, verdicts = (
        path.read_bytes().splitlines(True) for path in (log.samples_path, log.verdicts_path)
    )
    log.verdicts_path.write_bytes(verdicts[1])
    assert SampleLog(tmp_path).unjudged == [sample(0)]
    log.samples_path.write_bytes(samples[0])
    for read in (SampleLog, read_sample_log):
        with pytest.raises(RunFailed, match=r"sample 1 of suite p/1 is judged and is not in"):
            read(tmp_path)
    log.samples_path.write_bytes(b"".join([*samples, samples[0]]))
    for read in (SampleLog, read_sample_log):
        with pytest.raises(
            RunFailed, match=r"samples\.jsonl: sample 0 of suite p/1 is there twice"
        ):
            read(tmp_path)


def test_samples_are_lines_that_evalplus_reads(tmp_path: Path) -> None:
    log = SampleLog(tmp_path)
    log.add_sample(sample(0))
    [(_, line)] = nonblank_lines(log.samples_path)
    row = decode_line(log.samples_path, "line 1", line)
    assert (row["task_id"], row["solution"]) == ("P/1", "x = 0\n")
