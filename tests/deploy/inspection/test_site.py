"""The folder of `stepcoder inspect`, whatever programs and data sets have written."""

from __future__ import annotations

import gzip
import json
import re
import threading
import urllib.request
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from actors.errors import RunFailed
from actors.evaluation.figures import ProblemCounts, suite_figures
from actors.evaluation.records import GeneratedSample, SampleKey, SampleVerdict
from actors.evaluation.sample_log import SampleLog
from actors.recording.rollout_file import step_file
from curriculum.synthetic.problems import synthetic_problems
from deploy.cli import main
from deploy.errors import ConfigError
from deploy.evaluation.folder import EvaluationFolder
from deploy.evaluation.suites import Suite
from deploy.inspection.server import open_server
from deploy.inspection.site import build_site, open_source
from sandbox import Outcome
from tests.actors.recording.test_rollout_log import group as rollout_group
from tests.actors.recording.test_rollout_log import written
from tests.deploy.inspection.seeded_groups import seeded_groups, seeded_source, with_text

SCRIPT = re.compile(r'stepcoder\.receive\("([a-z0-9-]+)",(.*)\);\n', re.DOTALL)
NASTY = (
    "</script><!--\0\u2028\u2029\ufeff\N{GRINNING FACE} e\u0301\u202e\\\"'${x}\r\n\ud800\x1b[31m"
    "__proto__"
)


def pieces(out: Path) -> dict[str, Any]:
    """The scripts of a folder, as a browser would read them."""
    found = {}
    for path in sorted((out / "data").glob("*.js")):
        match = SCRIPT.fullmatch(path.read_text(encoding="ascii"))
        assert match is not None
        found[match[1]] = json.loads(match[2])
    return found


def a_run(root: Path) -> Path:
    """A run of one recorded step."""
    root.mkdir(parents=True, exist_ok=True)
    written(root / "rollouts", [rollout_group(0, [Outcome.passed, Outcome.infra_error])])
    (root / "config.yaml").write_text("learner: {mask: fgo}\nseed: 3\n")
    (root / "metrics.jsonl").write_text('{"step": 7, "seconds/learn": 1.5}\n{"step"')
    return root


def an_evaluation(root: Path) -> Path:
    """An evaluation of two problems, one of whose samples is not judged yet."""
    problems = synthetic_problems(seed=3, per_tier=1)[:2]
    problems[0] = problems[0].model_copy(update={"published": date(2024, 5, 1)})
    folder = EvaluationFolder(root)
    root.mkdir(parents=True, exist_ok=True)
    folder.settings.write_text('{"model": "m", "suites": {"s": "x"}, "sampling": null}')
    folder.write_tasks(
        [Suite("s", tuple(problems), {}, {})], {("s", problems[0].id): ("Solve this. def", "def")}
    )
    log = SampleLog(root)
    for number, problem in enumerate(problems):
        text = f"```python\n{problem.solution}```\nDone."
        size = len(problem.solution.encode())
        log.add_sample(
            GeneratedSample(SampleKey("s", problem.id, 0), problem.id, problem.solution, text,
                            (10, 10 + size), "stop", 5, 9, ((0, 10, "fence"),))
        )  # fmt: skip
        if number == 0:
            half = size // 2
            log.add_verdict(
                SampleVerdict(SampleKey("s", problem.id, 0), Outcome.failed,
                              results=(("failed", "expected 1, got 2", None, "2"),),
                              statements=((0, half, 1), (half, size, 0)))
            )  # fmt: skip
    return root


def test_a_finished_evaluation_shows_its_figures_by_tier_and_quarter(tmp_path: Path) -> None:
    root = an_evaluation(tmp_path / "evaluation")
    assert open_source(root)[0].figures == []
    days = ("2024-05-01", None)
    counts = [
        ProblemCounts(f"p{at}", "interview", "", 1, at, 1, day) for at, day in enumerate(days)
    ]
    figures = suite_figures(counts, [], [], [1])
    EvaluationFolder(root).result.write_text(json.dumps({"suites": {"s": figures}}))
    source, groups = open_source(root)
    build_site(source, groups, tmp_path / "pages")
    index = pieces(tmp_path / "pages")["index"]
    rows = [(row["title"], row["name"], row["estimate"]) for row in index["figures"]]
    assert rows == [
        ("s, pass@1", "overall", 0.5),
        ("s, pass@1", "2024 Q2", 0.0),
        ("s, pass@1", "no date", 1.0),
    ]
    assert index["quarters"] == ["2024 Q2", None]


def test_whatever_a_text_holds_is_data_and_nothing_else(tmp_path: Path) -> None:
    [group] = seeded_groups(1)
    out = tmp_path / "pages"
    build_site(seeded_source(1), [with_text(group, NASTY)], out)
    made = pieces(out)
    [detail] = made["groups-0000"]
    sample = detail["samples"][0]
    assert detail["question"] == detail["problem"] == sample["program"] == NASTY
    assert sample["results"][0][1] == detail["tests"][0]["input"] == NASTY
    assert made["text-0000"] == [NASTY]
    assert made["index"]["problems"] == [["", NASTY]]
    for path in out.rglob("*.js"):
        if "vendor" not in path.parts:
            assert "</script" not in path.read_text()


def test_details_are_in_pieces_and_the_index_says_where(tmp_path: Path) -> None:
    out = tmp_path / "pages"
    assert build_site(seeded_source(4), seeded_groups(500), out) == 500
    made = pieces(out)
    groups = made["index"]["groups"]
    assert max(groups["piece"]) > 0
    for number, (piece, place) in enumerate(zip(groups["piece"], groups["place"], strict=True)):
        detail = made[f"groups-{piece:04d}"][place]
        assert detail["problem"] == made["index"]["problems"][groups["problem"][number]][1]
        assert len(detail["samples"]) == groups["size"][number]
    assert len(made["previews"]) == sum(groups["size"]) == 500
    assert made["index"]["text_pieces"] == 1


def test_the_index_tells_exceptions_ends_and_the_rare_ones_together(tmp_path: Path) -> None:
    [group] = seeded_groups(8)
    raised = [f"E{at}: m" for at in (0, 0, *range(14))]
    samples = [
        {**group.samples[0], "outcome": "runtime_error", "error": error, "finish_reason": "length"}
        for error in raised
    ]
    samples[-1] |= {"outcome": "timeout", "finish_reason": None}
    build_site(seeded_source(1), [replace(group, samples=tuple(samples))], tmp_path / "pages")
    index = pieces(tmp_path / "pages")["index"]
    assert index["errors"] == [*(f"E{at}" for at in range(12)), "no exception", "others"]
    assert index["samples"]["error"] == [0, 0, 0, *range(1, 12), 13, 12]
    assert index["ends"] == ["length", "unknown"]
    assert index["samples"]["end"] == [0] * 15 + [1]


def test_the_page_says_what_it_lacks(tmp_path: Path) -> None:
    root = a_run(tmp_path / "run")
    assert open_source(root)[0].notice == "The run has not finished."
    (root / "config.yaml").write_text("loop: {record: groups 2}\n")
    (root / "result.json").write_text("{}")
    assert open_source(root)[0].notice == "Recorded groups of each step: 2, not all."
    root = an_evaluation(tmp_path / "evaluation")
    sampling = {"samples": 3, "temperature": 0.8}
    (root / "settings.json").write_text(
        json.dumps({"model": "m", "suites": {"s": "x"}, "sampling": sampling})
    )
    assert open_source(root)[0].notice == "Not finished: 2 of 6 samples written, 1 judged."
    (root / "result.json").write_text('{"suites": {}}')
    assert open_source(root)[0].notice.startswith("Verdicts are missing: 1 of 2 samples ")


def test_a_huge_completion_is_kept_whole(tmp_path: Path) -> None:
    [group] = seeded_groups(1)
    text = "x = 1  # é\n" * 400_000
    build_site(seeded_source(1), [with_text(group, text)] * 2, tmp_path / "pages")
    made = pieces(tmp_path / "pages")
    assert made["groups-0000"][0]["samples"][0]["tokens"] == [text]
    assert len(made["previews"][0]) <= 90
    assert made["index"]["groups"]["piece"] == [0, 1]


def test_a_run_shows_tokens_states_and_times(tmp_path: Path) -> None:
    source, groups = open_source(a_run(tmp_path / "run"))
    assert source.facts == {"learner.mask": "fgo", "seed": "3"}
    assert source.seconds == {7: {"learn": 1.5}}
    [group] = groups
    first, second = group.samples
    assert "".join(first["tokens"]) == first["program"]
    assert first["states"][-1] == "s"
    assert (first["outcome"], second["outcome"]) == ("passed", "infra_error")
    assert group.step == 7


def test_an_evaluation_is_shown_also_before_it_has_ended(tmp_path: Path) -> None:
    root = an_evaluation(tmp_path / "evaluation")
    before = (root / "samples.jsonl").read_bytes()
    with (root / "samples.jsonl").open("ab") as file:
        file.write(b'{"task_id": "cut o')
    _, groups = open_source(root / "samples.jsonl")
    first, second = list(groups)
    assert [g.samples[0]["outcome"] for g in (first, second)] == ["failed", "not_judged"]
    assert (first.prompt, second.prompt) == ("Solve this. def", None)
    assert (first.problem["prefix"], second.problem["prefix"]) == ("def", "")
    sample = first.samples[0]
    assert sample["states"] == "cxnc"
    assert sample["tokens"][0] == "```python\n"
    assert (root / "samples.jsonl").read_bytes() == before + b'{"task_id": "cut o'


@pytest.mark.parametrize("field", ["question", "samples", "stage"])
def test_a_field_that_an_older_version_did_not_write_is_named(tmp_path: Path, field: str) -> None:
    root = a_run(tmp_path / "run")
    path = step_file(root / "rollouts", 7)
    record = json.loads(gzip.decompress(path.read_bytes()))
    del record[field]
    path.write_bytes(gzip.compress(json.dumps(record).encode()))
    _, groups = open_source(root)
    with pytest.raises(ConfigError, match=rf"step-000007.*line 1: no field `{field}`.*again"):
        list(groups)


@pytest.mark.parametrize(("field", "value"), [("samples", 5), ("samples", [7])])
def test_a_damaged_group_is_named(tmp_path: Path, field: str, value: Any) -> None:
    root = a_run(tmp_path / "run")
    path = step_file(root / "rollouts", 7)
    record = json.loads(gzip.decompress(path.read_bytes())) | {field: value}
    path.write_bytes(gzip.compress(json.dumps(record).encode()))
    source, groups = open_source(root)
    with pytest.raises(ConfigError, match=r"step-000007.*line 1: "):
        build_site(source, groups, tmp_path / "pages")


def test_an_evaluation_of_an_older_version_is_refused_by_name(tmp_path: Path) -> None:
    root = an_evaluation(tmp_path / "evaluation")
    rows = [json.loads(line) for line in (root / "verdicts.jsonl").read_text().splitlines()]
    del rows[0]["statements"]
    (root / "verdicts.jsonl").write_text(json.dumps(rows[0]) + "\n")
    with pytest.raises(RunFailed, match=r"verdicts\.jsonl: .*'statements'.*--overwrite"):
        open_source(root)
    (root / "verdicts.jsonl").unlink()
    (root / "tasks.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"no tasks\.jsonl: .*--overwrite"):
        open_source(root)


def test_samples_of_a_problem_that_is_not_among_the_tasks_are_not_left_out(tmp_path: Path) -> None:
    root = an_evaluation(tmp_path / "evaluation")
    first, *_ = (root / "tasks.jsonl").read_text().splitlines(True)
    (root / "tasks.jsonl").write_text(first)
    with pytest.raises(ConfigError, match=r"tasks\.jsonl: no line of s synthetic.*--resume"):
        open_source(root)


def test_a_folder_that_is_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither the folder of a run"):
        open_source(tmp_path)
    with pytest.raises(ConfigError, match="no such folder"):
        open_source(tmp_path / "absent")
    (tmp_path / "given.jsonl").write_text("{}")
    with pytest.raises(ConfigError, match=r"judged first: stepcoder eval --judge .*given\.jsonl"):
        open_source(tmp_path / "given.jsonl")
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    (tmp_path / "metrics.jsonl").touch()
    with pytest.raises(ConfigError, match=r"recorded no rollouts .*--loop\.record"):
        open_source(tmp_path)


def test_other_files_are_never_replaced(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.tex").touch()
    with pytest.raises(ConfigError, match="holds other files"):
        build_site(seeded_source(1), seeded_groups(1), out)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    (out / "thesis.tex").unlink()
    for samples in (1, 9):  # a page of ours is
        build_site(seeded_source(1), seeded_groups(samples), out)
    assert pieces(out)["index"]["samples_count"] == 9


def test_a_build_that_fails_leaves_the_former_folder(tmp_path: Path) -> None:
    out = tmp_path / "pages"
    build_site(seeded_source(1), seeded_groups(3), out)

    def broken() -> Any:
        yield from seeded_groups(1)
        raise RunFailed("a file is damaged")

    with pytest.raises(RunFailed):
        build_site(seeded_source(1), broken(), out)
    assert pieces(out)["index"]["samples_count"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["pages"]


def test_two_builds_of_one_folder_do_not_mix(tmp_path: Path) -> None:
    out = tmp_path / "pages"
    (tmp_path / ".pages.partial" / "data").mkdir(parents=True)  # left behind by a kill
    (tmp_path / ".pages.partial" / "data" / "groups-0099.js").touch()

    def refused() -> None:
        with pytest.raises(ConfigError, match="another `stepcoder inspect` is writing it"):
            build_site(seeded_source(1), seeded_groups(1), out)

    build_site(seeded_source(1), seeded_groups(3), out, refused)
    assert pieces(out)["index"]["samples_count"] == 3
    assert "groups-0099" not in pieces(out)


def test_the_command_writes_beside_its_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = a_run(tmp_path / "run")
    assert main(["inspect", str(root)]) == 0
    assert f"2 samples: {root / 'inspect' / 'index.html'}" in capsys.readouterr().out
    names = set(re.findall(r'(?:src|href)="([^#:"]+)"', (root / "inspect/index.html").read_text()))
    assert {name for name in names if not (root / "inspect" / name).is_file()} == set()


def test_the_folder_is_served(tmp_path: Path) -> None:
    build_site(seeded_source(1), seeded_groups(3), tmp_path / "pages")
    with open_server(tmp_path / "pages", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/data/index.js"
        with urllib.request.urlopen(address, timeout=10) as answer:
            assert answer.read().startswith(b"stepcoder.receive")
        with pytest.raises(ConfigError, match="--port"):
            open_server(tmp_path / "pages", server.server_port)
        with pytest.raises(ConfigError, match="--port 99999: not a port"):
            open_server(tmp_path / "pages", 99999)
        server.shutdown()
