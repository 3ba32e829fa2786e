"""Site: the static folder of `stepcoder inspect`.

<out>/index.html, *.css, *.js     the page, as it lies in `deploy/inspection/page`
      data/index.js               a row for each sample: what lists and filters need
      data/previews.js            the beginning of each sample
      data/text-0000.js ...       every completion, read when someone searches in them
      data/groups-0000.js ...     everything else, read when a group or a sample is opened

Data are scripts that call `stepcoder.receive(name, value)`, because a page opened from the file
system may load scripts and nothing else. All text is JSON in ASCII: no character ends a script.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actors.evaluation.figures import quarter_of
from actors.evaluation.records import error_type
from deploy.errors import ConfigError
from deploy.evaluation.folder import is_evaluation
from deploy.inspection.evaluation_source import read_evaluation
from deploy.inspection.groups import Group, Source
from deploy.inspection.run_source import is_run, read_run
from deploy.sole_writer import sole_writer
from deploy.stored.listing import runs_in
from sandbox import Outcome

PAGE = Path(__file__).with_name("page")
MARKER = "data/index.js"
SCHEMA = 2
"""Version of the data, which the page checks."""
PIECE_CHARS = 1 << 19
"""Length from which a piece of details ends with the group that it holds."""
TEXT_CHARS = 1 << 21
PREVIEW_CHARS = 90
ERROR_TYPES = 12
"""Exceptions with a filter of their own."""
NO_EXCEPTION = "no exception"


def open_source(path: Path) -> tuple[Source, Iterator[Group]]:
    """What lies in a folder; a file of samples stands for the evaluation around it.

    Raises:
        ConfigError: neither a run nor an evaluation, or nothing recorded.
        RunFailed: a file is damaged.
    """
    root = path.parent if path.is_file() else path
    if not path.exists():
        raise ConfigError(f"{path}: no such folder; give the folder of a run or of an evaluation")
    if is_evaluation(root):
        return read_evaluation(root)
    if is_run(root):
        return read_run(root)
    if path.is_file():
        raise ConfigError(
            f"{path}: not the samples of an evaluation (no settings.json beside it); have them "
            f"judged first: stepcoder eval --judge {path} --suite SUITE"
        )
    raise ConfigError(
        f"{path}: neither the folder of a run (config.yaml, rollouts/) nor of an evaluation "
        f"(settings.json, samples.jsonl){runs_in(path)}"
    )


@dataclass
class _Columns:
    """The rows of `data/index.js`, by column."""

    problems: dict[tuple[str, str], int] = field(default_factory=dict)
    tiers: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    """What ended the completions."""
    quarters: list[str | None] = field(default_factory=list)
    """When each problem became public, in the order of `problems`."""
    groups: dict[str, list[Any]] = field(
        default_factory=lambda: {
            name: []
            for name in ("problem", "tier", "step", "stage", "stages", "piece", "place", "size")
        }
    )
    samples: dict[str, list[Any]] = field(
        default_factory=lambda: {
            name: []
            for name in ("number", "outcome", "reward", "advantage", "tokens", "passed", "tests",
                         "version", "error", "end")
        }
    )  # fmt: skip

    def add(self, group: Group, piece: int, place: int) -> None:
        key = group.suite, group.problem["problem"]
        if key not in self.problems:
            day = group.problem["published"]
            self.quarters.append(quarter_of(day) if day else None)
        row = {
            "problem": self.problems.setdefault(key, len(self.problems)),
            "tier": self.tiers.setdefault(group.problem["tier"], len(self.tiers)),
            "step": group.step,
            "stage": group.stage,
            "stages": group.stages,
            "piece": piece,
            "place": place,
            "size": len(group.samples),
        }
        for name, value in row.items():
            self.groups[name].append(value)
        for sample in group.samples:
            results = sample["results"]
            columns = {
                "number": sample["number"],
                "outcome": self.outcomes.setdefault(sample["outcome"], len(self.outcomes)),
                "reward": sample["reward"],
                "advantage": sample["advantage"],
                "tokens": sample.get("token_count", len(sample["states"])),
                "passed": sum(result[0] == "passed" for result in results),
                "tests": len(results),
                "version": sample["weight_version"],
                "error": _error_type(sample),
                "end": self.ends.setdefault(sample["finish_reason"] or "unknown", len(self.ends)),
            }
            for name, value in columns.items():
                self.samples[name].append(value)


class _Pieces:
    """Values that go to numbered scripts of a bounded size."""

    def __init__(self, folder: Path, name: str, longest: int) -> None:
        self._folder, self._name, self._longest = folder, name, longest
        self._values: list[str] = []
        self._size = 0
        self.count = 0

    def place(self) -> tuple[int, int]:
        """Piece and position that the next value gets."""
        return self.count, len(self._values)

    def add(self, value: Any) -> None:
        """Add a value, and end the piece where it has become long enough."""
        text = _json(value)
        self._values.append(text)
        self._size += len(text)
        if self._size >= self._longest:
            self.close()

    def close(self) -> None:
        """Write what is left."""
        if self._values:
            name = f"{self._name}-{self.count:04d}"
            _write_script(self._folder, name, "[" + ",".join(self._values) + "]")
            self.count += 1
            self._values, self._size = [], 0


def build_site(
    source: Source,
    groups: Iterable[Group],
    out: Path,
    on_group: Callable[[], None] = lambda: None,
) -> int:
    """Write the folder; returns the number of samples.

    It is made beside `out` and then takes its place, so that `out` is whole or what it was before.

    Args:
        source: what the groups are from.
        groups: in the order of the page.
        out: the folder, replaced where it holds such a page.
        on_group: called after each group.

    Raises:
        ConfigError: `out` holds something else or is being written, or the source is not one of
            this version.
    """
    check_out(out)
    partial = out.with_name(f".{out.name}.partial")
    with sole_writer(out, f"{out}: another `stepcoder inspect` is writing it"):
        try:
            shutil.rmtree(partial, ignore_errors=True)  # what a kill left behind
            shutil.copytree(PAGE, partial)
            (partial / "data").mkdir()
            count = _write_data(source, groups, partial / "data", on_group)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        shutil.rmtree(out, ignore_errors=True)
        partial.rename(out)
    return count


def check_out(out: Path) -> None:
    """Refuse to replace what is no inspection.

    Raises:
        ConfigError: names the folder.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / MARKER).exists()):
        raise ConfigError(f"{out} holds other files; choose another --out")
    out.parent.mkdir(parents=True, exist_ok=True)


def _write_data(
    source: Source, groups: Iterable[Group], data: Path, on_group: Callable[[], None]
) -> int:
    columns = _Columns()
    details = _Pieces(data, "groups", PIECE_CHARS)
    texts = _Pieces(data, "text", TEXT_CHARS)
    previews: list[str] = []
    for group in groups:
        columns.add(group, *details.place())
        details.add(_detail(group))
        for sample in group.samples:
            text = "".join(sample["tokens"]) or sample["program"]
            previews.append(_preview(text))
            texts.add(text)
        on_group()
    details.close()
    texts.close()
    count = len(previews)
    errors, columns.samples["error"] = _coded(columns.samples["error"])
    index = {
        "schema": SCHEMA,
        "kind": source.kind,
        "name": source.name,
        "facts": source.facts,
        "notice": source.notice,
        "seconds": source.seconds,
        "figures": source.figures,
        "samples_count": count,
        "text_pieces": texts.count,
        "problems": [list(key) for key in columns.problems],
        "quarters": columns.quarters,
        "tiers": list(columns.tiers),
        "outcomes": list(columns.outcomes),
        "errors": errors,
        "ends": list(columns.ends),
        "groups": columns.groups,
        "samples": columns.samples,
    }
    _write_script(data, "previews", _json(previews))
    _write_script(data, "index", _json(index))
    return count


def _detail(group: Group) -> dict[str, Any]:
    """What a script of details holds of a group."""
    return {
        **group.problem,
        "suite": group.suite,
        "step": group.step,
        "stage": group.stage,
        "stages": group.stages,
        "prompt": group.prompt,
        "prompt_tokens": group.prompt_tokens,
        "samples": list(group.samples),
    }


def _error_type(sample: Mapping[str, Any]) -> str:
    """The type of the exception that ended a program."""
    raised = sample["outcome"] == Outcome.runtime_error.value
    return (raised and error_type(sample["error"])) or NO_EXCEPTION


def _coded(names: Sequence[str]) -> tuple[list[str], list[int]]:
    """Exceptions by their codes, the most frequent first, and the code of each sample's."""
    raised = Counter(name for name in names if name != NO_EXCEPTION)
    kept = [name for name, _ in raised.most_common(ERROR_TYPES)]
    kept += [NO_EXCEPTION] if NO_EXCEPTION in names else []
    codes = {name: code for code, name in enumerate(kept)}
    rest = len(kept)
    coded = [codes.get(name, rest) for name in names]
    return [*kept, "others"] if rest in coded else kept, coded


def _preview(text: str) -> str:
    """The beginning of a text, on one line."""
    return " ".join(text[: 4 * PREVIEW_CHARS].split())[:PREVIEW_CHARS]


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    # Also pasted into a page, no text ends a script or opens a comment.
    return text.replace("</", "<\\/").replace("<!", "\\u003c!")


def _write_script(folder: Path, name: str, value: str) -> None:
    text = f'stepcoder.receive("{name}",{value});\n'
    (folder / f"{name}.js").write_text(text, encoding="ascii")
