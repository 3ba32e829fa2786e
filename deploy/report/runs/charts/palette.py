"""The colours of a report, for light and dark backgrounds."""

from __future__ import annotations

from collections.abc import Sequence

PALETTE: dict[str, tuple[str, str]] = {
    "overall": ("#20242c", "#eceae4"),
    "introductory": ("#3a8a5f", "#6cc494"),
    "interview": ("#3b6ea5", "#7fb2ea"),
    "competition": ("#b5485d", "#f08ba0"),
    "passed": ("#3f9b6b", "#4fae7c"),
    "failed": ("#e3ab45", "#d9a441"),
    "runtime_error": ("#d4683f", "#d4683f"),
    "compile_error": ("#84508f", "#a06bb0"),
    "timeout": ("#5b80ad", "#6f97c9"),
    "out_of_memory": ("#7b6a5c", "#9a8777"),
    "infra_error": ("#9aa0a8", "#6d737c"),
    "rollout": ("#3b6ea5", "#5f95d3"),
    "sandbox": ("#4c9f70", "#58ad7e"),
    "learn": ("#d08a3c", "#d9953f"),
    "broadcast": ("#84508f", "#a879b6"),
    "rest": ("#c3c7ce", "#565c66"),
    "first": ("#3b6ea5", "#7fb2ea"),
    "second": ("#c26a1c", "#eda35c"),
    "third": ("#84508f", "#c79ad3"),
    "run-0": ("#3b6ea5", "#7fb2ea"),
    "run-1": ("#c26a1c", "#eda35c"),
    "run-2": ("#3a8a5f", "#6cc494"),
    "run-3": ("#b5485d", "#f08ba0"),
    "run-4": ("#7a56a3", "#bb9ce0"),
    "run-5": ("#8a6a2f", "#d1b26e"),
    "run-6": ("#2b8599", "#6cc5d9"),
    "run-7": ("#5d6470", "#aab1bd"),
    "stage-0": ("#12355b", "#e3effc"),
    "stage-1": ("#2a5d8f", "#b5d5f6"),
    "stage-2": ("#4a86bd", "#86b9ea"),
    "stage-3": ("#79aad6", "#5b95cf"),
    "stage-4": ("#a3c6e4", "#3f71a5"),
}
"""Light and dark colour by name."""
RUN_COLOURS = 8
HEAT: tuple[Sequence[str], Sequence[str]] = (
    ("#f3e9d2", "#f0c987", "#d99a5b", "#7d8fa9", "#2f6690", "#12355b"),
    ("#2c2620", "#6b4f2f", "#b07a3f", "#6c8db0", "#86b6e6", "#b9d8f7"),
)
"""Colours from 0 to 1, light and dark: from a long prefix to the full task."""


def run_colour(number: int) -> str:
    """The colour of a run's group by its number; they repeat after the eighth."""
    return f"run-{number % RUN_COLOURS}"
