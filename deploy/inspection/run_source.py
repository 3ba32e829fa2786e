"""The recorded rollouts of a run, as groups."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from actors.recording.rollout_file import read_rollouts, recorded_steps
from actors.runs.folder import RunFolder
from deploy.errors import ConfigError
from deploy.inspection.groups import Fields, Group, Source
from deploy.inspection.token_states import Completion, token_texts
from sandbox import Statement
from sandbox.judging.coverage import line_marks

_REMEDY = "record the run again with this version"
_PROBLEM = ("problem", "tier", "published", "question", "solution", "setup", "tests", "prefix")
_VERDICT = ("outcome", "error", "error_line", "results", "wall_seconds", "cpu_seconds")
_TRUST = ("coverage_tampered", "trusted_tests", "isolation")
_KEYS = ("learner.mask", "learner.advantage", "learner.loss", "rollout.samples_per_prompt",
         "curriculum.mode", "loop.record", "seed")  # fmt: skip
"""Configuration keys that the page names."""


def is_run(root: Path) -> bool:
    """Whether a folder is that of a run."""
    folder = RunFolder(root)
    return folder.config.exists() and (folder.in_use() or folder.rollouts.exists())


def read_run(root: Path) -> tuple[Source, Iterator[Group]]:
    """What a run recorded; the groups are read as they are asked for.

    Raises:
        ConfigError: it recorded nothing, or a file is not this version's.
    """
    folder = RunFolder(root)
    files = recorded_steps(folder.rollouts)
    if not files:
        raise ConfigError(
            f"{root}: the run recorded no rollouts (loop.record none, no step finished yet, or an "
            "older version); train with `--loop.record all` or `--loop.record 'groups 2'`"
        )
    facts = _facts(folder)
    source = Source(
        "run", root.absolute().name, facts, _notice(folder, facts), seconds=_seconds(folder)
    )
    return source, chain.from_iterable(_groups(path) for path in files)


def _groups(path: Path) -> Iterator[Group]:
    for number, record in enumerate(read_rollouts(path), 1):
        where = f"{path}: line {number}"
        try:
            yield _group(Fields(record, where, _REMEDY), where)
        except (TypeError, ValueError, AttributeError, LookupError) as error:
            raise ConfigError(f"{where}: not a group as this version records it: {error}") from None


def _group(fields: Fields, where: str) -> Group:
    samples = (Fields(sample, where, _REMEDY) for sample in fields["samples"])
    return Group(
        problem=fields.all(*_PROBLEM),
        samples=tuple(_sample(sample) for sample in samples),
        step=fields["step"],
        stage=fields["stage"],
        stages=fields["stages"],
        prompt=fields["prompt"],
        prompt_tokens=fields["prompt_tokens"],
    )


def _sample(fields: Fields) -> dict[str, Any]:
    statements = tuple((start, end, bool(ran)) for start, end, ran in fields["statements"])
    lengths, source = fields["token_bytes"], fields["program"]
    completion = Completion(
        fields["completion"],
        source,
        tuple(fields["program_bytes"]),
        tuple(tuple(cut) for cut in fields["cuts"]),
        statements,
        fields["coverage_tampered"],
    )
    learner = fields["learner"]
    sample = {
        **fields.all(
            *_VERDICT, *_TRUST, "reward", "weight_version", "finish_reason", "generation_seconds"
        ),
        "number": fields["sample_id"],
        "program": source,
        "marks": line_marks(source, [Statement(*statement) for statement in statements]),
        "tokens": token_texts(fields["completion"], lengths),
        "states": completion.states(lengths),
        "cuts": fields["cuts"],
        "ids": fields["token_ids"],
        "values": {"engine": fields["engine_logprobs"]},
        "advantage": None,
        "left_out": None,
        "parts": None,
    }
    if learner is None:
        return sample
    return sample | _learned(Fields(learner, "the learner's values", _REMEDY), sample["values"])


def _learned(fields: Fields, engine: Mapping[str, list[float]]) -> dict[str, Any]:
    """What the learner knew of a sample that it trained on."""
    logprobs, reference = fields["logprobs"], fields["reference_logprobs"]
    values = {
        **engine,
        "learner": logprobs,
        "ratio": [
            _significant(math.exp(min(20.0, own - rolled)))
            for own, rolled in zip(logprobs, engine["engine"], strict=True)
        ],
        "reference": reference,
        "kl": reference and [round(a - b, 5) for a, b in zip(logprobs, reference, strict=True)],
        "entropy": fields["entropies"],
        "value": fields["values"],
        "return": fields["returns"],
        "advantage": fields["advantages"],
        "weight": fields["weights"],
    }
    return {
        "values": {name: numbers for name, numbers in values.items() if numbers},
        "advantage": round(fmean(fields["advantages"]), 4) if fields["advantages"] else None,
        "left_out": fields["left_out"],
        "parts": fields["reward_parts"],
    }


def _significant(number: float) -> float:
    return float(f"{number:.5g}")


def _facts(folder: RunFolder) -> dict[str, str]:
    """What the configuration says of the run."""
    try:
        tree = yaml.safe_load(folder.config.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        what = " ".join(str(error).split())
        raise ConfigError(f"{folder.config}: not the configuration of a run: {what}") from None
    facts: dict[str, str] = {}
    for key in _KEYS:
        value = tree
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            facts[key] = str(value)
    return facts


def _notice(folder: RunFolder, facts: Mapping[str, str]) -> str:
    """What the rollouts lack of the run."""
    recorded = facts.get("loop.record", "all")
    groups = recorded.removeprefix("groups ")
    parts = [] if recorded == "all" else [f"Recorded groups of each step: {groups}, not all."]
    if not folder.result.exists():
        parts.append("The run has not finished.")
    return " ".join(parts)


def _seconds(folder: RunFolder) -> dict[int, dict[str, float]]:
    """Wall time by step; a last line that is being written is left out."""
    try:
        return {
            row["step"]: {
                name.removeprefix("seconds/"): round(value, 3)
                for name, value in row.items()
                if name.startswith("seconds/")
            }
            for row in folder.step_rows()
        }
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{folder.metrics}: not the metrics of a run: {error}") from None
