"""The page on rewards: its example is a reward function, and its values are the defaults."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from actors.rewards.function import load_reward_function
from actors.rewards.scorer import Scorer
from curriculum.program import Cut
from deploy.config.keys import all_keys
from learner.config import RewardConfig
from sandbox import Outcome
from tests.actors.rewards.test_scorer import LONGEST, judged, one_round
from tests.actors.trajectories import trajectories_of
from tests.docs.commands import ROOT, block_commands

PAGE = (ROOT / "docs" / "rewards.md").read_text(encoding="utf-8")


def test_the_example_rewards_samples_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [command] = [c for c in block_commands() if c.page == Path("docs/rewards.md")]
    name = command.arguments[command.arguments.index("--reward.function") + 1]
    module = name.partition(":")[0]
    assert f"`{module}.py`" in PAGE
    [source] = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / f"{module}.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    scorer = Scorer(RewardConfig(function=name), LONGEST, load_reward_function(name))
    samples = judged(0), judged(1, Outcome.failed, cuts=(Cut(6, 9, "prose"),))
    scored = asyncio.run(scorer.score(one_round(*samples)))
    fast, wasteful = trajectories_of(scored.groups[0])
    assert fast.reward == pytest.approx(1.2)
    assert fast.reward_parts["function/speed"] == pytest.approx(0.2)
    assert wasteful.reward == pytest.approx(-0.4)


def test_the_page_names_every_key_of_the_reward() -> None:
    for name, key in all_keys().items():
        if key.section == "reward":
            assert f"`{name}" in PAGE
