"""Provenance: what an evaluation was made with, so that its figures can be judged and repeated."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from actors.evaluation.evaluator import Generation
from actors.runs.folder import append_jsonl
from deploy.evaluation.settings import EvaluationSettings
from deploy.versions import git_commit, package_versions

_CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class SuitePrompts:
    """The prompts of one suite."""

    template: str
    """The template of the first one; `prompt.template` may choose by the problem's source."""
    sha256: str
    """Of the token ids of all of them."""
    example: str
    """The first one, as the model reads it."""


@dataclass
class Provenance:
    """Settings, template, versions and costs; the last two of all processes that took part."""

    settings: EvaluationSettings
    chat_template: str | None
    """The tokenizer's, where prompts are chats."""
    prompts: dict[str, SuitePrompts]
    """By suite; empty where no model generates."""
    prompts_without_room: int
    """Prompts as long as the model's context; their samples are empty."""
    processes: Path
    """File with a line for each process of the evaluation that started actors."""
    generation: Generation = field(default_factory=Generation)
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    """Wall time of this process by stage [seconds]."""

    def add_process(self, dtype: str | None, versions: dict[str, str]) -> None:
        """Record the engines of this process, also for the result of a later one."""
        row = {
            "dtype": dtype,
            "versions": package_versions() | versions,
            "machine": platform.machine(),
            "processor": _processor(),
            "git_commit": git_commit(),
        }
        append_jsonl(self.processes, [row])

    def as_result(self) -> dict[str, Any]:
        """What `result.json` says of it."""
        rows = []
        if self.processes.exists():
            rows = [json.loads(line) for line in self.processes.read_text().splitlines()]
        versions: dict[str, str] = {}
        for row in rows:
            versions |= row["versions"]
        sampling = self.settings.sampling
        prompt = self.settings.prompt
        return {
            "model": self.settings.model,
            "model_digest": self.settings.model_digest,
            "judged_file": self.settings.judged_file,
            "judged_sha256": self.settings.judged_sha256,
            "sampling": vars(sampling) if sampling else None,
            "prompt": prompt
            and {
                **prompt,
                "chat_template_sha256": self.chat_template and _sha256(self.chat_template),
                "suites": {name: asdict(prompts) for name, prompts in self.prompts.items()},
                "without_room": self.prompts_without_room,
            },
            "answer": self.settings.answer,
            "sandbox": self.settings.sandbox,
            "dtype": sorted({row["dtype"] for row in rows if row["dtype"]}),
            "processor": sorted({row["processor"] for row in rows}),
            "versions": versions or package_versions(),
            "git_commit": sorted({row["git_commit"] for row in rows if row["git_commit"]}),
            "processes": len(rows),
            "seconds": self.seconds,
            "tokens_per_s": self.generation.tokens / self.generation.seconds
            if self.generation.seconds
            else None,
        }


def _processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        lines = _CPU_INFO.read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
