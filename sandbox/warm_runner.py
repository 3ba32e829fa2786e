"""The warm runners of a slot: started when first needed, replaced when they are used up."""

import re
from collections.abc import Sequence
from functools import partial

from sandbox.backends.base import Backend, Runner
from sandbox.channel import Reply
from sandbox.config import SandboxConfig

MAX_PRELOADED = 3
"""Runners of a slot that hold packages, beside the plain one; those used last stay."""


class WarmRunner:
    """A runner that is fresh again after `recycle_after` jobs and after any irregularity."""

    def __init__(
        self, backend: Backend, slot: int, run: str, recycle_after: int, preload: Sequence[str] = ()
    ):
        """`preload` are modules that it holds, so that programs import them at no cost."""
        self.runner: Runner | None = None
        self._backend = backend
        self._label = (slot, run)
        self._recycle_after = recycle_after
        self._preload = tuple(preload)
        self._jobs_run = 0

    def start(self) -> Runner:
        """The runner, started if there is none.

        Raises:
            SetupError, RunnerLost: as `Backend.start`.
        """
        if self.runner is None:
            self.runner = self._backend.start(*self._label, self._preload)
            self._jobs_run = 0
        return self.runner

    def cancel(self) -> None:
        """Have the program that runs now killed, if one does."""
        runner = self.runner
        if runner is not None:
            runner.channel.cancel()

    def count(self, reply: Reply) -> None:
        """Take note of a job's end, after which a fresh runner may be needed."""
        self._jobs_run += 1
        if not reply.exit.clean or self._jobs_run >= self._recycle_after:
            self.close()

    def close(self) -> None:
        """End the runner and every program it runs."""
        runner, self.runner = self.runner, None
        if runner is not None:
            runner.end()


class WarmRunners:
    """The runners of one slot: one for most programs, others beside it where they are needed.

    A program that imports packages goes to a runner that has loaded them (`backend.modules`); a
    checker to one in which no program of a policy ever runs.
    """

    def __init__(self, backend: Backend, config: SandboxConfig, slot: int, run: str):
        self._new = partial(WarmRunner, backend, slot, run, config.recycle_after)
        self.plain = self._new()
        self._checkers: WarmRunner | None = None
        self._preloaded: dict[frozenset[str], WarmRunner] = {}
        self._modules = backend.modules
        names = "|".join(map(re.escape, sorted(backend.modules)))
        self._imports = re.compile(rf"\b(?:import|from)\b[^\n#;]*?\b({names})\b") if names else None

    def for_program(self, source: str) -> WarmRunner:
        """The runner that holds what the text of a program imports.

        It is a matter of speed only: other modules are loaded when the program imports them.
        """
        modules = frozenset[str](self._imports.findall(source) if self._imports else ())
        if not modules:
            return self.plain
        if len(modules) > 1:
            modules = self._modules  # one runner for every combination
        runner = self._preloaded.pop(modules, None) or self._new(sorted(modules))
        self._preloaded[modules] = runner  # the last one used comes last
        while len(self._preloaded) > MAX_PRELOADED:
            self._preloaded.pop(next(iter(self._preloaded))).close()
        return runner

    def for_checkers(self) -> WarmRunner:
        """The runner of the problems' checkers."""
        if self._checkers is None:
            self._checkers = self._new()
        return self._checkers

    def close(self) -> None:
        """End all of them."""
        others = [self._checkers] if self._checkers else []
        for runner in (self.plain, *others, *self._preloaded.values()):
            runner.close()
