"""Parts that end in every way; each runs in a process of its own."""

from __future__ import annotations

import os
import time

from deploy.machine.part import Figure, NotHere, Scale, at_most


def passes(scale: Scale) -> list[Figure]:
    print("said to the log")
    return [Figure("steps", scale.steps), at_most("error", 0.1, 0.5, "nats", "buy another")]


def misses(_scale: Scale) -> list[Figure]:
    return [at_most("error", float("nan"), 0.5, "nats", "set dtype float32")]


def raises(_scale: Scale) -> list[Figure]:
    raise RuntimeError("CUDA error: an illegal access\nand a long story")


def needs_more(_scale: Scale) -> list[Figure]:
    raise NotHere("it needs two GPUs")


def hangs(_scale: Scale) -> list[Figure]:
    time.sleep(600)
    return []


def dies(_scale: Scale) -> list[Figure]:
    os._exit(11)
