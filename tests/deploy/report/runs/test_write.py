"""The report's files: one page that needs nothing else, a picture of every chart, live data."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from deploy.cli import main
from deploy.report.runs import write
from deploy.report.runs.page import LIVE_DATA, PAGE
from tests.deploy.report.runs.made_runs import write_run


def data_of(page: Path) -> dict[str, Any]:
    found = re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found
    return json.loads(found[1])


def test_the_page_is_self_contained_and_every_chart_is_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", steps=12)
    (run / "config.yaml").write_text(
        (run / "config.yaml").read_text().replace("template: auto", "template: </script><b>")
    )
    assert main(["report", str(run)]) == 0
    page = run / "report" / PAGE
    assert f"report: {page}" in capsys.readouterr().out
    text = page.read_text()
    elements = re.sub(r"(<script[^>]*>).*?</script>", r"\1", text, flags=re.DOTALL)
    assert not re.findall(r'(?:src|href)="(?!data:|#)', elements)
    assert "{{" not in text.partition("<body>")[2].partition("<script")[0]
    ids = [chart["id"] for section in data_of(page)["sections"] for chart in section["charts"]]
    pictures = {path.stem: path for path in page.parent.glob("*.png")}
    assert pictures.keys() == set(ids)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures.values())
    assert not (page.parent / LIVE_DATA).exists()


def test_a_watched_report_follows_its_run_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    looks: list[int] = []
    states = iter([(6, False), (6, False), (12, True)])

    def train(_seconds: float = 0.0) -> None:
        steps, finished = next(states)
        write_run(run, steps=steps, finished=finished, loop={"steps": 12})

    train()
    monkeypatch.setattr(write.time, "sleep", train)
    drawn: list[Any] = []
    monkeypatch.setattr(write, "write_pictures", lambda charts, _folder: drawn.extend(charts))
    out = tmp_path / "out"
    seen = []
    for page in write.watch_report([run], out, 1, lambda: looks.append(1)):
        data = data_of(page)
        seen.append((data["live"], data["groups"][0]["runs"][0]["step"]))
        assert (out / LIVE_DATA).read_text().startswith("window.stepcoderReport({")
    assert seen == [(True, 6), (False, 12)], "nothing is written while the run writes nothing"
    assert '"live":false' in (out / LIVE_DATA).read_text()
    assert len(looks) == 2
    assert drawn, "pictures are drawn once, at the end"


def test_several_runs_go_beside_the_first(tmp_path: Path) -> None:
    runs = [tmp_path / "a", tmp_path / "b"]
    assert write.default_folder(runs) == tmp_path / "report"
    assert write.default_folder(runs[:1]) == tmp_path / "a" / "report"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no run given, such as runs/smoke"),
        (["nowhere"], "nowhere: no run there (no config.yaml)"),
        (["run", "./run"], "run: given twice"),
        (["run", "--watch", "--every", "0"], "--every 0: must be above 0"),
    ],
)
def test_what_cannot_be_reported_is_said(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
