"""The page of a report in a real browser: every chart, both themes, what a reader does with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from deploy.report.runs import page as pages
from deploy.report.runs.content import report_content
from deploy.report.runs.history import RunHistory
from tests.browser import opened, serious_findings
from tests.deploy.report.runs.made_runs import write_run
from tests.deploy.report.runs.screenshots import take

pytestmark = [pytest.mark.integration, pytest.mark.browser]


def write(out: Path, *runs: Path) -> Path:
    out.mkdir(exist_ok=True)
    return pages.write_page(report_content([RunHistory.read(run) for run in runs]), out)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of five runs in two groups."""
    root = tmp_path_factory.mktemp("several")
    runs = [write_run(root / f"fgo-{seed}", seed=seed) for seed in (1, 2, 3)]
    runs += [
        write_run(root / f"no-mask-{seed}", seed=seed, learner={"mask": "none"}) for seed in (1, 2)
    ]
    return write(root / "out", *runs)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of one run."""
    root = tmp_path_factory.mktemp("single")
    return write(root / "out", write_run(root / "smoke", per_tier=40))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("which", ["single", "several"])
def test_every_chart_is_drawn_and_accessible(
    browser: Browser, which: str, theme: str, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(which)
    with opened(browser, path, color_scheme=theme) as page:
        plots = page.locator(".plot")
        assert plots.count() >= 20
        expect(page.locator(".plot:has(canvas)")).to_have_count(plots.count())
        assert page.locator("html").get_attribute("data-theme") == theme
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map((element) => element.id)")
        assert len(set(ids)) == len(ids)
        assert serious_findings(page) == []


def test_a_narrow_screen_has_one_column(browser: Browser, single: Path) -> None:
    with opened(browser, single, viewport={"width": 420, "height": 900}) as page:
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_reader_hides_a_line_reads_figures_and_changes_the_theme(
    browser: Browser, single: Path
) -> None:
    with opened(browser, single) as page:
        chart = page.locator("#heldout")
        name = chart.get_by_role("button", name="competition")
        name.click()
        expect(name).to_have_attribute("aria-pressed", "false")
        plot = "echarts.getInstanceByDom(document.querySelector('#heldout .plot'))"
        names = page.evaluate(f"{plot}.getOption().series.map((s) => s.name)")
        assert "competition" not in names
        assert "interview" in names
        chart.get_by_text("Figures").click()
        expect(chart.get_by_role("row")).to_have_count(6)
        expect(chart.get_by_role("row").last).to_contain_text(re.compile(r"^40\d+ %"))
        page.get_by_label("Smoothing").select_option("strong")
        page.get_by_label("Theme").select_option("dark")
        assert page.locator("html").get_attribute("data-theme") == "dark"
        expect(chart.get_by_role("button", name="competition")).to_have_attribute(
            "aria-pressed", "false"
        )
        box = chart.locator(".plot").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        expect(chart.locator(".tip")).to_contain_text("interview")


def test_an_open_page_follows_a_run_that_is_under_way(browser: Browser, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", steps=6, finished=False)
    path = write(tmp_path / "out", run)
    with opened(browser, path) as page:
        expect(page.locator(".facts")).to_contain_text("running")
        expect(page.locator(".facts")).to_contain_text("6 of 12 steps")
        write_run(run, steps=12, loop={"steps": 12})
        content = report_content([RunHistory.read(run)])
        pages.write_data(content, path.parent)
        expect(page.locator(".facts")).to_contain_text("12 of 12 steps", timeout=20_000)
        expect(page.locator(".facts")).not_to_contain_text("running")


def test_the_pages_can_be_taken_for_the_documentation(
    browser: Browser, single: Path, several: Path, tmp_path: Path
) -> None:
    images = take(browser, single, several, tmp_path)
    assert [path.stem for path in images] == [
        "report-run", "report-curriculum", "report-outcomes", "report-several",
    ]  # fmt: skip
    assert all(path.stat().st_size > 10_000 for path in images)


def test_a_run_before_its_first_step_says_so(browser: Browser, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", steps=0, finished=False)
    (run / "metrics.jsonl").unlink()
    (run / "curriculum.jsonl").unlink()
    with opened(browser, write(tmp_path / "out", run)) as page:
        expect(page.get_by_text("No step has finished yet")).to_be_visible()
