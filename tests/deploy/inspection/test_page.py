"""The pages of `stepcoder inspect` in a real browser: every view, filters, keys, accessibility."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from deploy.inspection.site import build_site, open_source
from tests.browser import opened, serious_findings
from tests.deploy.inspection.screenshots import hover_token, take
from tests.deploy.inspection.seeded_groups import seeded_groups, seeded_source, with_text
from tests.deploy.inspection.test_site import NASTY, an_evaluation

pytestmark = [pytest.mark.browser, pytest.mark.integration, pytest.mark.timeout(120)]

SAMPLES = 400
VIEWS = ("#samples", "#groups", "#sample/24", "#sample/24?colour=advantage", "#group/3")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a seeded run of 400 samples."""
    out = tmp_path_factory.mktemp("inspection") / "pages"
    build_site(seeded_source(4), seeded_groups(SAMPLES), out)
    return out


def selected(page: Page) -> int:
    """Samples that the filters leave, as the tab says."""
    counted = page.locator(".tab .count").first.text_content() or ""
    return int(counted.replace(",", ""))


def test_filters_and_sorting_select_samples(browser: Browser, site: Path) -> None:
    with opened(browser, site / "index.html") as page:
        expect(page.locator(".rows .row").first).to_be_visible()
        assert selected(page) == SAMPLES
        page.get_by_role("checkbox", name=re.compile("passed")).check()
        expect(page.locator(".searching")).to_contain_text(f"of {SAMPLES}")
        passed = selected(page)
        assert 0 < passed < SAMPLES
        assert set(page.locator(".rows .outcome").all_text_contents()) == {"passed"}
        page.get_by_role("checkbox", name=re.compile("interview")).check()
        page.get_by_label("Step from").fill("2")
        expect(page).to_have_url(re.compile(r"tier=interview.*step=2\.\."))
        assert 0 < selected(page) < passed
        page.get_by_role("button", name="Tokens").click()
        expect(page.locator("[aria-sort=ascending]")).to_have_text(re.compile("Tokens"))
        page.get_by_label("Problem").fill("no such problem")
        expect(page.locator(".empty")).to_be_visible()
        page.get_by_role("button", name="Clear filters").click()
        expect(page.locator(".empty")).to_have_count(0)
        page.get_by_label("Text of a completion").fill("best")
        expect(page.locator(".searching")).to_contain_text("sample")
        assert 0 < selected(page) < SAMPLES


def test_names_with_commas_suites_and_groups_by_pass_rate(browser: Browser, tmp_path: Path) -> None:
    names = {"a,b": "50%, odd", "c&d#?": "plain"}
    groups = [
        replace(
            group,
            suite=suite,
            problem={**group.problem, "tier": names[suite]},
            samples=({**group.samples[0], "finish_reason": "length"}, *group.samples[1:]),
        )
        for group, suite in zip(seeded_groups(32), [*names] * 2, strict=True)
    ]
    source = replace(seeded_source(1), kind="evaluation", notice="Not finished: 1 of 2.")
    build_site(source, groups, tmp_path / "pages")
    with opened(browser, tmp_path / "pages" / "index.html") as page:
        expect(page.locator(".notice")).to_have_text("Not finished: 1 of 2.")
        expect(page.get_by_role("columnheader", name="Sample")).to_be_visible()
        for name in ("a,b", "50%, odd", "NameError", "the policy"):
            page.get_by_role("checkbox", name=re.compile(f"^{name}")).check()
        expect(page).to_have_url(re.compile("ended=stop.*suite="))
        chosen = selected(page)
        assert 0 < chosen < 16
        page.reload()
        expect(page.locator(".rows .row").first).to_be_visible()
        assert (selected(page), page.locator(":checked").count()) == (chosen, 4)
        page.get_by_role("button", name="Clear filters").click()
        page.get_by_role("link", name=re.compile("Problems")).click()
        page.get_by_role("button", name="Passed").click()
        page.get_by_role("button", name="Passed").click()
        expect(page.locator("[aria-sort=descending]")).to_have_text(re.compile("Passed"))
        counts = [row.split("/") for row in page.locator(".rows .number").all_text_contents()]
        passed = [int(of) for of, _ in counts]
        assert passed == sorted(passed, reverse=True)


def test_an_address_opens_the_same_view_again(browser: Browser, site: Path) -> None:
    with opened(browser, site / "index.html", "#samples?outcome=failed&sort=-tokens") as page:
        expect(page.locator(".rows .row").first).to_be_visible()
        assert set(page.locator(".rows .outcome").all_text_contents()) == {"failed"}
        page.locator(".rows .row a").nth(2).click()
        expect(page.locator(".completion")).to_be_visible()
        address = page.url
        title = page.locator(".title").text_content()
        page.go_back()
        expect(page.locator(".rows .row").first).to_be_visible()
        page.goto("about:blank")
        page.goto(address)
        expect(page.locator(".title")).to_have_text(title or "")


def test_keys_lead_through_list_sample_and_group(browser: Browser, site: Path) -> None:
    with opened(browser, site / "index.html") as page:
        expect(page.locator(".rows .row").first).to_be_visible()
        for key in "jj":
            page.keyboard.press(key)
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile("#sample/2"))
        page.keyboard.press("j")
        expect(page).to_have_url(re.compile("#sample/3"))
        expect(page.locator(".place")).to_have_text("number 4 of the 400 in the list")
        page.keyboard.press("g")
        expect(page).to_have_url(re.compile("#group/0"))
        expect(page.locator(".sample-card")).to_have_count(8)
        page.keyboard.press("Escape")
        expect(page.locator(".rows .row").first).to_be_visible()
        page.keyboard.press("/")
        expect(page.get_by_label("Text of a completion")).to_be_focused()
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        page.get_by_role("checkbox", name=re.compile("passed")).check()
        expect(page.locator(".searching")).to_contain_text(f"of {SAMPLES}")
        row = int(page.locator(".row.selected").get_attribute("aria-rowindex") or 0)
        page.keyboard.press("j")
        expect(page.locator(".row.selected")).to_have_attribute("aria-rowindex", f"{row + 1}")
        page.keyboard.press("t")
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_a_list_of_50000_samples_holds_the_rows_in_sight_and_no_others(
    browser: Browser, tmp_path: Path
) -> None:
    [group] = seeded_groups(8)
    bare = {"tokens": ["x"], "states": "x", "ids": [1], "values": {}, "results": []}
    group = replace(group, samples=tuple({**sample, **bare} for sample in group.samples))
    groups = (replace(group, step=number // 16 + 1) for number in range(6_250))
    build_site(seeded_source(391), groups, tmp_path / "pages")
    with opened(browser, tmp_path / "pages" / "index.html") as page:
        expect(page.locator(".tab .count").first).to_have_text("50,000")
        for rows in (0, 1, 7, 12_345, 12_344, 12_400, 31_999.5, 49_000, 50_000, 3):
            found = page.evaluate(
                """async (rows) => {
                  const list = document.querySelector(".scroller");
                  list.scrollTop = rows * 38;
                  for (let at = 0; at < 3; at++) await new Promise(requestAnimationFrame);
                  const view = list.getBoundingClientRect();
                  const shown = [...document.querySelectorAll(".rows .row")].map((row) => {
                    const { top, bottom } = row.getBoundingClientRect();
                    const step = Number(row.querySelectorAll(".cell")[6].textContent);
                    return { at: Number(row.getAttribute("aria-rowindex")) - 2, step, top, bottom };
                  });
                  return { shown, top: view.top + 36, bottom: view.bottom };
                }""",
                rows,
            )
            shown = found["shown"]
            first = shown[0]["at"]
            assert len(shown) <= 24 + 2 * 8
            assert [row["at"] for row in shown] == [*range(first, first + len(shown))]
            assert [row["step"] for row in shown] == [row["at"] // 128 + 1 for row in shown]
            assert shown[0]["top"] <= found["top"] < found["bottom"] <= shown[-1]["bottom"] + 1
        assert shown[0]["at"] == 0
        page.keyboard.press("k")
        expect(page.locator(".row.selected")).to_have_attribute("aria-rowindex", "2")


def test_a_token_shows_what_became_of_it_and_its_numbers(browser: Browser, site: Path) -> None:
    with opened(browser, site / "index.html", "#samples?outcome=failed&text=-%3D") as page:
        page.locator(".rows .row a").first.click()
        hover_token(page.locator(".completion .t.n").first)
        card = page.locator("#card")
        for words in ("not executed", "not learned from", "engine log-probability", "advantage"):
            expect(card).to_contain_text(words)
        page.mouse.move(0, 0)
        page.locator(".completion").focus()
        page.keyboard.press("ArrowRight")
        expect(card).to_contain_text("token 1 of")
        page.get_by_label("Colour by").select_option("kl")
        expect(page).to_have_url(re.compile("colour=kl"))
        expect(page.locator(".program .line.executed").first).to_be_visible()
        expect(page.locator(".tests tbody tr")).to_have_count(5)


@pytest.mark.parametrize("width", [1440, 600])
def test_a_token_of_two_lines_has_its_card_where_it_is_seen(
    browser: Browser, tmp_path: Path, width: int
) -> None:
    [group] = seeded_groups(1)
    tokens = ["def answer(values):", "\n            ", "return 1"]
    shown = {"tokens": tokens, "states": "xxx", "ids": [1, 2, 3], "values": {}, "cuts": []}
    sample = {**group.samples[0], **shown, "left_out": [["", 3]]}
    group = replace(group, problem={**group.problem, "prefix": ""}, samples=(sample,))
    build_site(seeded_source(1), [group], tmp_path / "pages")
    size = {"width": width, "height": 900}
    with opened(browser, tmp_path / "pages" / "index.html", "#sample/0", viewport=size) as page:
        hover_token(page.locator(".completion .t").nth(1))
        card = page.locator("#card")
        expect(card).to_contain_text("⏎␣␣␣")
        expect(card).to_contain_text("token 2 of 3")
        assert page.evaluate(
            """() => {
              const card = document.getElementById("card").getBoundingClientRect();
              const lines = [...document.querySelectorAll(".completion .t")[1].getClientRects()];
              return lines.every((line) => card.left >= line.right || card.top >= line.bottom ||
                                           card.bottom <= line.top);
            }"""
        ), "the card does not lie on its token"


def test_texts_of_programs_stay_texts(browser: Browser, tmp_path: Path) -> None:
    [group] = seeded_groups(1)
    text = NASTY + "<img src=x onerror=alert(1)>\u202e'txet"
    build_site(seeded_source(1), [with_text(group, text)], tmp_path / "pages")
    with opened(browser, tmp_path / "pages" / "index.html") as page:
        expect(page.locator(".rows .row").first).to_be_visible()
        for view in ("sample", "group"):
            page.goto(f"{page.url.partition('#')[0]}#{view}/0")
            expect(page.locator(".completion").first).to_contain_text("onerror=alert(1)")
            assert page.locator("img").count() == 0
            expect(page.locator(".completion").first).to_contain_text("⟨U+202E⟩'txet")
            assert "\u202e" not in (page.locator("body").text_content() or "")


def test_given_programs_stand_side_by_side_with_their_coverage(
    browser: Browser, tmp_path: Path
) -> None:
    [group] = seeded_groups(1)
    absent = {"tokens": [], "states": "", "cuts": (), "token_count": None, "left_out": None,
              "values": {}, "finish_reason": None, "program": "def f(a):\n    return 1\n",
              "marks": "+-"}  # fmt: skip
    given = replace(group, samples=({**group.samples[0], **absent},))
    build_site(seeded_source(1), [given], tmp_path / "pages")
    with opened(browser, tmp_path / "pages" / "index.html", "#group/0") as page:
        program = page.get_by_role("region", name="Program of sample 1")
        expect(program.locator(".line.missed")).to_contain_text("return 1")
        expect(page.locator(".sample-card footer")).not_to_contain_text("token")
        page.get_by_role("link", name="Sample 1", exact=True).click()
        expect(page.get_by_role("heading", name="Program as judged")).to_be_visible()
        expect(page.get_by_role("heading", name="Completion")).to_have_count(0)
        assert serious_findings(page) == []


def test_an_evaluation_and_a_run_without_learner_open(browser: Browser, tmp_path: Path) -> None:
    source, groups = open_source(an_evaluation(tmp_path / "evaluation"))
    build_site(source, groups, tmp_path / "a")
    [group] = seeded_groups(1)
    bare = {"values": {}, "left_out": None, "parts": None, "advantage": None, "reward": None}
    sample = {**group.samples[0], **bare, "outcome": "infra_error", "results": []}
    build_site(seeded_source(1), [replace(group, samples=(sample,))], tmp_path / "b")
    for name in ("a", "b"):
        for view in ("#samples", "#groups", "#sample/0", "#group/0"):
            with opened(browser, tmp_path / name / "index.html", view) as page:
                expect(page.locator("main")).not_to_be_empty()
                expect(page.locator("main .error[role=alert]")).to_have_count(0)
    with opened(browser, tmp_path / "a" / "index.html") as page:
        page.get_by_role("checkbox", name=re.compile("2024 Q2")).check()
        expect(page).to_have_url(re.compile(r"quarter=2024\+Q2"))
        assert selected(page) == 1
        page.locator(".rows .row a").click()
        expect(page.locator(".title")).to_contain_text("published 2024-05-01")
        page.get_by_text("Prompt as the model read it, 5 tokens").click()
        expect(page.get_by_role("region", name="Prompt")).to_have_text("Solve this. def")


@pytest.mark.parametrize(("scheme", "rules"), [("light", ()), ("dark", ("color-contrast",))])
def test_no_view_has_a_serious_finding_of_axe(
    browser: Browser, site: Path, scheme: str, rules: tuple[str, ...]
) -> None:
    with opened(browser, site / "index.html", color_scheme=scheme) as page:
        expect(page.locator(".rows .row").first).to_be_visible()
        for view in VIEWS:
            page.goto(f"{page.url.partition('#')[0]}{view}")
            page.wait_for_timeout(150)
            assert serious_findings(page, *rules) == [], view


def test_a_program_of_many_lines_opens_with_the_first_ones(
    browser: Browser, tmp_path: Path
) -> None:
    [group] = seeded_groups(1)
    lines = 20_000
    build_site(seeded_source(1), [with_text(group, "x = 1\n" * lines)], tmp_path / "pages")
    with opened(browser, tmp_path / "pages" / "index.html", "#sample/0") as page:
        block = page.get_by_role("region", name="Program as judged, with line coverage")
        expect(block.locator(".line")).to_have_count(5_000)
        block.get_by_role("button", name="Show 15,000 more lines").click()
        expect(block.locator(".line")).to_have_count(lines)
        expect(block.locator(".line").last).to_contain_text(f"{lines}")


def test_long_texts_can_be_scrolled_by_keys(browser: Browser, tmp_path: Path) -> None:
    [group] = seeded_groups(1)
    build_site(seeded_source(1), [with_text(group, "word\n" * 80)], tmp_path / "pages")
    with opened(browser, tmp_path / "pages" / "index.html") as page:
        for view in ("sample", "group"):
            page.goto(f"{page.url.partition('#')[0]}#{view}/0")
            expect(page.locator(".question")).to_have_attribute("tabindex", "0")
            assert serious_findings(page, "scrollable-region-focusable") == [], view


def test_every_view_can_be_taken_for_the_documentation(
    browser: Browser, site: Path, tmp_path: Path
) -> None:
    images = take(browser, site, tmp_path, "inspect")
    assert [path.name for path in images] == [
        "inspect-samples.png", "inspect-group.png", "inspect-sample.png", "inspect-sample-dark.png",
    ]  # fmt: skip
    assert all(path.stat().st_size > 10_000 for path in images)
