"""Groups of samples that look like those of a run, from a seed: for tests and opening times."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from deploy.inspection.groups import Group, Source
from deploy.inspection.token_states import Completion
from sandbox import Statement
from sandbox.judging.coverage import line_marks

SAMPLES_EACH = 8
PROBLEMS = 160
TIERS = ("introductory", "interview", "competition")
REWARDS = {"passed": 1.0, "failed": -0.3, "runtime_error": -0.6, "timeout": -0.6,
           "compile_error": -1.0}  # fmt: skip
ERRORS = {"passed": None, "runtime_error": "NameError: name 'best' is not defined"}
NAMES = ("values", "total", "left", "right", "best", "count", "number", "items")


def seeded_source(steps: int) -> Source:
    """A run of so many steps."""
    facts = {"learner.mask": "fgo", "learner.advantage": "gae", "seed": "7"}
    seconds = {step: {"rollout": 2.5, "learn": 1.25} for step in range(1, steps + 1)}
    return Source("run", "seeded", facts, seconds=seconds)


def seeded_groups(samples: int, seed: int = 7, groups_per_step: int = 16) -> Iterator[Group]:
    """`samples` samples in groups of eight, step by step; pass rates rise with the steps."""
    chance = random.Random(seed)
    count = -(-samples // SAMPLES_EACH)
    for number in range(count):
        step = number // groups_per_step + 1
        skill = 0.15 + 0.7 * number / max(1, count)
        yield _group(chance, number, step, skill, min(SAMPLES_EACH, samples - 8 * number))


def _group(chance: random.Random, number: int, step: int, skill: float, size: int) -> Group:
    problem = chance.randrange(PROBLEMS)
    stages = 2 + problem % 4
    name = f"task_{problem:03d}"
    tests = [
        {"input": f"{name}([{at}, {at + problem % 9}])", "expected": str(3 * at)} for at in range(5)
    ]
    return Group(
        problem={
            "problem": f"seeded/{problem:03d}",
            "tier": TIERS[problem % 3],
            "published": None,
            "question": f"Write {name}(values): add what is above {problem % 9}, and three times "
            "the first one.",
            "solution": f"def {name}(values):\n    return 3 * values[0] + {problem % 9}\n",
            "setup": "",
            "tests": tests,
            "prefix": f"def {name}(values):\n    total = 0\n",
        },
        samples=tuple(
            _sample(chance, SAMPLES_EACH * number + at, step, skill, name) for at in range(size)
        ),
        step=step,
        stage=max(-1, int(stages * (1 - skill)) - 1),
        stages=stages,
        prompt=f"# Write {name}(values)\ndef {name}(values):\n    total = 0\n",
        prompt_tokens=48,
    )


def _sample(
    chance: random.Random, number: int, step: int, skill: float, name: str
) -> dict[str, Any]:
    outcome = "passed" if chance.random() < skill else chance.choice([*REWARDS][1:])
    limit = chance.randrange(2, 9)
    lines = [f"    for {NAMES[limit % 8]} in values:"]
    lines += [f"        if {NAMES[limit % 8]} > {limit}:", f"            total += {limit}"]
    lines += ["        else:", f"            total -= {NAMES[(limit + 1) % 8]}"]
    lines += ["    return total + 3 * values[0]"]
    body = "\n".join(lines[: chance.randrange(4, 7)]) + "\n"
    tail = "```\nThis adds the values.\n" if chance.random() < 0.3 else ""
    tokens = [piece for line in (body + tail).splitlines(True) for piece in _pieces(line)]
    prefix = f"def {name}(values):\n    total = 0\n"
    source = prefix + body
    statements, at = [], 0
    for line in source.splitlines(True):
        start = at + len(line) - len(line.lstrip())
        if line.strip() != "else:":
            ran = outcome != "failed" or "-=" not in line
            statements.append((start, at + len(line.rstrip()), ran))
        at += len(line)
    known = tuple(statements) if outcome != "compile_error" else ()
    cuts = ((len(body), len(body) + len(tail), "fence"),) if tail else ()
    completion = Completion(body + tail, source, (0, len(body)), cuts, known, False)
    states = completion.states([len(token) for token in tokens])
    left = [{"n": "not executed", "c": "cut away"}.get(state, "") for state in states]
    engine = [round(-2.5 * chance.random() ** 3, 5) for _ in tokens]
    advantage = REWARDS[outcome] - skill
    results = [
        ["passed", "", None, None]
        if outcome == "passed" or test < 2
        else ["failed", f"expected {3 * test}, got {test + 1}", None, f"{test + 1}"]
        for test in range(5)
    ]
    return {
        "outcome": outcome,
        "error": ERRORS.get(outcome, "expected 6, got 3"),
        "error_line": None,
        "results": results,
        "wall_seconds": 0.004,
        "cpu_seconds": 0.003,
        "coverage_tampered": False,
        "trusted_tests": True,
        "isolation": "docker",
        "reward": REWARDS[outcome],
        "weight_version": step,
        "finish_reason": "stop",
        "generation_seconds": 0.25,
        "number": number,
        "program": source,
        "marks": line_marks(source, [Statement(*statement) for statement in known]),
        "tokens": tokens,
        "states": states,
        "cuts": cuts,
        "ids": [chance.randrange(4096) for _ in tokens],
        "values": {
            "engine": engine,
            "learner": [round(value - 1e-5, 5) for value in engine],
            "ratio": [0.99999] * len(tokens),
            "reference": [round(value - 0.02, 5) for value in engine],
            "kl": [round(0.02 * chance.random(), 5) for _ in tokens],
            "entropy": [round(0.5 * chance.random(), 5) for _ in tokens],
            "value": [round(skill + 0.1 * chance.random(), 5) for _ in tokens],
            "advantage": [round(advantage + 0.2 * chance.random(), 5) for _ in tokens],
        },
        "advantage": round(advantage, 4),
        "left_out": [[reason, 1] for reason in left],
        "parts": {"outcome": REWARDS[outcome], "kl": -0.021},
    }


def _pieces(line: str) -> list[str]:
    """Words with the white space before them, as a tokenizer makes them."""
    pieces, word = [], ""
    for character in line:
        if word and (character == " ") != (word[-1] == " ") and word.strip():
            pieces.append(word)
            word = ""
        word += character
    return [*pieces, word] if word else pieces


def with_text(group: Group, text: str) -> Group:
    """The group with a text in every place that a program or a data set decides."""
    sample = dict(group.samples[0])
    size = len(text.encode(errors="surrogatepass"))
    sample |= {"tokens": [text], "states": "x", "ids": [1], "values": {}, "left_out": [["", 1]]}
    sample |= {"program": text, "error": text, "marks": "+", "cuts": [[0, size, "prose"]]}
    sample["results"] = [["failed", text, None, text]]
    problem = dict(group.problem) | {"question": text, "prefix": text, "solution": text}
    problem |= {"problem": text, "tests": [{"input": text, "expected": text}], "setup": text}
    return replace(group, problem=problem, prompt=text, samples=(sample,))
