"""The page of a report: one HTML file that holds its data, its script and the chart library."""

from __future__ import annotations

import html
import json
from pathlib import Path

from curriculum.files import write_atomic
from deploy.report.runs.content import Content

PAGE = "report.html"
LIVE_DATA = "report-data.js"
"""What a page of a run that has not finished reads again every few seconds."""

_PARTS = Path(__file__).parent / "page"
_LIBRARY = "vendor/echarts-6.1.0.min.js"


def write_page(content: Content, folder: Path) -> Path:
    """Write the page into a folder, and its data apart while a run is under way."""
    path = folder / PAGE
    write_atomic(path, page_text(content))
    if content.live:
        write_data(content, folder)
    return path


def page_text(content: Content) -> list[str]:
    """The page, in parts."""
    page = (_PARTS / "report.html").read_text(encoding="utf-8")
    parts = {
        "{{title}}": html.escape(content.title),
        "{{style}}": (_PARTS / "report.css").read_text(encoding="utf-8"),
        "{{library}}": (_PARTS / _LIBRARY).read_text(encoding="utf-8"),
        "{{data}}": _json(content),
        "{{charts}}": (_PARTS / "charts.js").read_text(encoding="utf-8"),
        "{{script}}": (_PARTS / "report.js").read_text(encoding="utf-8"),
    }
    pieces, rest = [], page
    for mark, part in parts.items():  # in the order of the page, so that no part is searched
        before, _, rest = rest.partition(mark)
        pieces += [before, part]
    return [*pieces, rest]


def write_data(content: Content, folder: Path) -> None:
    """Write what an open page of this report shows next."""
    write_atomic(folder / LIVE_DATA, f"window.stepcoderReport({_json(content)});\n")


def _json(content: Content) -> str:
    """The data as JSON that may stand within a script element."""
    text = json.dumps(content.data, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
