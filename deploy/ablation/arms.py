"""Arms: the named variants of a grid, each a set of configuration overrides."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy.config.keys import as_yaml
from deploy.errors import ConfigError


@dataclass(frozen=True)
class Arm:
    """One variant of the training, by what it sets."""

    name: str
    summary: str
    """What it is, on one line."""
    overrides: Mapping[str, Any]
    """Values by dotted key. Nothing else differs between arms."""

    def arguments(self) -> list[str]:
        """The overrides as `load_config` takes them."""
        return [f"--{key}={as_yaml(value)}" for key, value in self.overrides.items()]


def _arm(name: str, summary: str, mode: str, mask: str, **more: Any) -> Arm:
    overrides = {"curriculum.mode": mode, "learner.mask": mask}
    return Arm(name, summary, overrides | {key.replace("__", "."): v for key, v in more.items()})


ARMS = {
    arm.name: arm
    for arm in (
        _arm("full", "CCCS and FGO: the paper's method", "cccs", "fgo"),
        _arm("no-fgo", "CCCS, every token learned", "cccs", "none"),
        _arm("no-cccs", "FGO, whole tasks only", "none", "fgo"),
        _arm("ppo", "plain PPO: whole tasks, every token", "none", "none"),
        _arm("random-mask", "CCCS, as many tokens masked as by FGO, at random", "cccs", "random"),
        _arm("linear", "FGO, a shorter prefix with every visit", "linear", "fgo"),
        _arm("adaptive", "FGO, as long a prefix as each problem needs", "adaptive", "fgo"),
        _arm("drawn", "FGO, prefixes drawn from a narrowing interval", "drawn", "fgo"),
        _arm("unguided", "FGO, a prefix only where every program failed", "unguided", "fgo"),
        _arm("fade", "CCCS that fades to none by 60 % of the run, FGO", "cccs", "fgo",
             curriculum__fade_by=0.6),
        _arm("rest", "CCCS, problems that are always solved rest, FGO", "cccs", "fgo",
             curriculum__longest_rest=8),
        _arm("own-prefixes", "CCCS with prefixes of the policy's own programs, FGO", "cccs", "fgo",
             curriculum__prefixes_from="policy"),
        _arm("error-mask", "CCCS, the blame of a crash on what raised and led to it",
             "cccs", "error"),
        _arm("random-error", "CCCS, as many tokens masked as by error-mask, at random",
             "cccs", "random_error"),
        _arm("divergence", "CCCS, the blame of a failure on what the canonical solution has not",
             "cccs", "divergence"),
        _arm("random-divergence", "CCCS, as many tokens masked as by divergence, at random",
             "cccs", "random_divergence"),
        _arm("group", "CCCS and FGO, a group baseline (RLOO) instead of the critic",
             "cccs", "fgo", learner__advantage="rloo"),
        _arm("group-no-fgo", "CCCS, a group baseline (RLOO), every token learned",
             "cccs", "none", learner__advantage="rloo"),
    )
}  # fmt: skip
"""Every arm by name, in the order in which results show them."""
CORE = ("full", "no-fgo", "no-cccs", "ppo", "adaptive")
"""The arms that the paper's claim and ours are about."""
SETS = {"core": CORE, "all": tuple(ARMS)}
"""Names that stand for several arms."""


def pick_arms(text: str) -> list[Arm]:
    """The arms that a list of names separated by commas stands for, each once.

    Raises:
        ConfigError: a name that no arm has, with the nearest one; or no name.
    """
    names: list[str] = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        if name in SETS:
            names += SETS[name]
        elif name in ARMS:
            names.append(name)
        else:
            raise ConfigError(f"--arms: {unknown_arm(name)}")
    if not names:
        raise ConfigError(f"--arms {text!r}: names no arm, such as {','.join(CORE)}")
    return [ARMS[name] for name in dict.fromkeys(names)]


def unknown_arm(name: str) -> str:
    """What is said of a name that no arm has."""
    known = [*ARMS, *SETS]
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]}? " if nearest else ""
    return f"no arm is called {name!r}: {hint}`stepcoder ablate arms` lists them"


def in_order(names: set[str]) -> list[str]:
    """Names of arms in the order of `ARMS`; those that are no longer there come last."""
    return [*(name for name in ARMS if name in names), *sorted(names - ARMS.keys())]
