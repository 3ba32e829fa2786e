"""mkdocs hooks: pages that live beside the code, and the generated references.

A page exists once, where its reader looks first (`README.md`, `sandbox/README.md`, `CHANGELOG.md`).
`on_files` adds each of them to the site and rewrites its relative links to the site's pages.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent

PAGES = {
    "README.md": "index.md",
    "curriculum/README.md": "curriculum.md",
    "sandbox/README.md": "sandbox.md",
    "learner/README.md": "learner.md",
    "actors/README.md": "actors.md",
    "actors/SCALING.md": "scaling.md",
    "deploy/README.md": "deploy.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "LICENSE": "license.md",
}
"""Repository file to page of the site."""

_LINK = re.compile(r"\]\(([^)#:\s]+)((?:#[^)\s]*)?)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages beside the code, their figures and the generated references."""
    figures: set[str] = set()
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        if source == "LICENSE":
            text = f"# Licence\n\n```text\n{text}```\n"
        text = _LINK.sub(lambda match, at=source: _relinked(match, at, figures), text)
        files.append(File.generated(config, page, content=text))
    for figure in sorted(figures):
        files.append(File.generated(config, figure, abs_src_path=str(ROOT / figure)))
    files.append(File.generated(config, "configuration.md", content=configuration_reference()))
    files.append(File.generated(config, "metrics.md", content=metrics_reference()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The guide's links to pages beside the code, as links of the site."""
    source = f"docs/{page.file.src_uri}"
    if not (ROOT / source).is_file():
        return markdown
    return _LINK.sub(lambda match: _relinked(match, source, set()), markdown)


def _relinked(match: re.Match[str], source: str, figures: set[str]) -> str:
    """A link of a repository file as a link of the site.

    Raises:
        ValueError: the link names no file of the repository, or one that the site has no page for.
    """
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
    target = PAGES.get(f"{target}/README.md", PAGES.get(target, target))
    if target.startswith("docs/"):
        target = target.removeprefix("docs/")
    elif target not in PAGES.values():
        if not (ROOT / target).is_file() or not target.endswith((".svg", ".png")):
            raise ValueError(f"{source}: the link to {match[1]} has no page on the site")
        figures.add(target)
    return f"]({target}{match[2]})"


def configuration_reference() -> str:
    """Every configuration key with its type, default and meaning, from the models' docstrings."""
    from deploy.config.keys import all_keys

    lines = [
        "# Configuration reference",
        "",
        "Every key of a profile (`--config FILE`), generated from the configuration models. On the",
        "command line a key is `--section.key value`; a value is YAML (`null`, `[if, for]`).",
        "`stepcoder config --explain KEY` prints one of them, with what sets it in a profile.",
        "",
    ]
    keys = all_keys()
    sections = ["", *(key.name for key in keys.values() if key.is_section)]
    for section in sections:
        leaves = [key for key in keys.values() if key.section == section and not key.is_section]
        lines += [f"## {section or 'The run'}", ""]
        if section:
            lines += [_cell(keys[section].docstring), ""]
        if leaves:
            lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
        for key in leaves:
            row = f"| `{key.name}` | {_cell(key.type)} | `{_cell(key.default_text)}` | "
            lines.append(f"{row}{_cell(key.docstring)} |")
        lines.append("")
    return "\n".join(lines)


def metrics_reference() -> str:
    """Every figure of a run with its unit, type and meaning, from its definition."""
    from actors.runs.definitions.registry import SECTIONS

    lines = [
        "# Metrics reference",
        "",
        "Every figure of a run, generated from its definition in `actors/runs/definitions/`. A row",
        "of `metrics.jsonl` has it under the first name; `{label}` stands for a part that varies.",
        "Prometheus has it under the second, with the labels `run` and those of the first name;",
        "there a gauge keeps its value until a step has the figure again. Which figures a run has",
        "depends on its configuration. [Monitoring](monitoring.md) has dashboard and alerts.",
        "",
    ]
    for section, metrics in SECTIONS.items():
        lines += [f"## {section}", ""]
        lines += ["| row | Prometheus | type | unit | meaning |", "|---|---|---|---|---|"]
        for metric in metrics:
            row = f"`{metric.name}`" if metric.in_rows else ""
            exported = f"`{metric.prometheus_name}`" if metric.in_prometheus else ""
            kind = metric.kind if metric.in_prometheus else ""
            lines.append(f"| {row} | {exported} | {kind} | {metric.unit} | {_cell(metric.help)} |")
        lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Text that Markdown takes as one table cell."""
    return " ".join(text.split()).replace("|", "\\|")
