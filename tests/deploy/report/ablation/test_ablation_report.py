"""Tables, Markdown and page of stored results; the documentation's page among them."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from rich.console import Console

from deploy.ablation.grid import Grid
from deploy.ablation.stored import write_stored
from deploy.cli import main
from deploy.report.ablation.console import print_grid
from deploy.report.ablation.markdown import results_markdown
from deploy.report.ablation.page import grid_content, write_grid_page
from deploy.report.ablation.table import IntervalCell, TextTable, as_markdown
from deploy.report.ablation.tables import grid_tables, levels_table, rates_table
from deploy.report.runs.charts.palette import PALETTE
from tests.browser import opened, serious_findings
from tests.deploy.ablation.made_results import exact_run, made_run
from tests.deploy.ablation.test_grid import made_grid

ROOT = Path(__file__).resolve().parents[4]


def test_the_page_of_results_is_what_the_stored_results_say(tmp_path: Path) -> None:
    """`docs/results.md` is never edited: the command writes it, from `docs/results`."""
    written = tmp_path / "results.md"
    assert main(["ablate", "report", str(ROOT / "docs/results"), "--markdown", str(written)]) == 0
    assert written.read_bytes() == (ROOT / "docs/results.md").read_bytes()


def test_the_same_results_make_the_same_bytes(tmp_path: Path) -> None:
    grid = made_grid(3)
    for run in grid.runs:
        write_stored(run, tmp_path / "grid")
    made: list[tuple[bytes, bytes]] = []
    for number in range(2):
        page, markdown = tmp_path / f"{number}.html", tmp_path / f"{number}.md"
        arguments = [str(tmp_path / "grid"), "-o", str(page), "--markdown", str(markdown)]
        assert main(["ablate", "report", *arguments]) == 0
        made.append((page.read_bytes(), markdown.read_bytes()))
    assert made[0] == made[1]
    assert b"CCCS helps on the hardest tier" in made[0][1]


def test_without_results_the_page_says_how_to_make_some() -> None:
    text = results_markdown([])
    assert "No results are stored yet" in text
    assert "make ablation" in text
    assert "| StepCoder (CCCS + FGO) | 36.1 | 8.6 |" in text


def test_every_table_has_a_cell_for_every_column() -> None:
    for grid in (made_grid(1), made_grid(4), Grid.of([made_run()])):
        for table in grid_tables(grid):
            assert {len(row) for row in table.rows} == {len(table.columns)}, table.title
            assert not any("nan" in str(cell) for row in table.rows for cell in row)


def test_rates_have_intervals_only_with_enough_seeds() -> None:
    few = rates_table(made_grid(2)).rows[1]
    assert re.fullmatch(r"0\.\d{3}", str(few[-1]))
    many = rates_table(made_grid(4)).rows[1]
    assert isinstance(many[-1], IntervalCell)
    assert many[-1].low < many[-1].mean < many[-1].high


def test_a_level_is_where_plain_ppo_ends() -> None:
    grid = Grid.of([exact_run("full", 1, [4, 4]), exact_run("full", 2, [0, 1]),
                    exact_run("ppo", 1, [2, 2]), exact_run("ppo", 2, [2, 2])])  # fmt: skip
    table = levels_table(grid)
    assert table.columns[1] == "overall, 0.500"
    assert [row[1] for row in table.rows] == ["48 (1/2)", "96"]


def test_a_cell_with_a_bar_does_not_break_a_markdown_table() -> None:
    table = TextTable("T", "C.", ("a", "b"), [["x|y", "1"]])
    assert list(as_markdown(table, 2))[-2:] == ["| x&#124;y | 1 |", ""]


def test_the_console_prints_the_notes_and_every_table() -> None:
    out = io.StringIO()
    grid = Grid.of([made_run("full"), made_run("ppo", optimizer_steps=3)])
    print_grid(grid, Console(file=out, width=140))
    text = out.getvalue()
    assert "note: Not the same optimizer steps" in text
    for table in grid_tables(grid):
        assert table.title in text


def test_the_page_holds_every_arm_in_known_colours() -> None:
    content = grid_content(made_grid(3))
    heldout = content.charts[0]
    assert [panel.title for panel in heldout.panels][-1] == "overall"
    assert all(line.low is not None for line in heldout.panels[0].lines)
    used = {line.colour for c in content.charts for p in c.panels for line in p.lines}
    assert used <= PALETTE.keys()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no folder given"),
        (["absent"], "absent: no such folder"),
        (["empty"], "no stored results"),
        (["two", "-o", "page.html"], "a page shows one grid"),
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
    Path("empty").mkdir()
    write_stored(made_run(), Path("two/a"))
    write_stored(made_run(grid="other"), Path("two/b"))
    assert main(["ablate", "report", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--seeds", "5", "--heldout", "150"], 0, "competition"),
        (["--spread", "0.02"], 0, "any tier"),
        (["--from", "made"], 0, "of the results in made"),
        (["--from", "single"], 2, "two arms with two common seeds"),
        (["--seeds", "1"], 2, "--seeds at least 2"),
        (["--difference", "0"], 2, "--difference 0"),
        (["--spread", "2"], 2, "--spread must be"),
    ],
)
def test_power_is_told_or_what_is_wrong(
    arguments: list[str],
    status: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_stored(made_run(), Path("single"))
    for run in made_grid(3).runs:
        write_stored(run, Path("made"))
    assert main(["ablate", "power", *arguments]) == status
    printed = capsys.readouterr()
    assert message in printed.out + printed.err


@pytest.mark.integration
@pytest.mark.browser
def test_the_page_is_drawn_and_accessible(browser: Browser, tmp_path: Path) -> None:
    page_file = tmp_path / "page.html"
    write_grid_page(made_grid(3), page_file)
    with opened(browser, page_file) as page:
        plots = page.locator(".plot")
        expect(page.locator(".plot:has(canvas)")).to_have_count(plots.count())
        expect(page.get_by_role("heading", name="Which claims hold")).to_be_visible()
        assert page.locator("svg.interval .above").count() > 0
        page.get_by_label("Theme").select_option("dark")
        expect(page.locator(".plot:has(canvas)")).to_have_count(plots.count())
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert serious_findings(page) == []
