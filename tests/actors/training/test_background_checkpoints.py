"""Checkpoints that are written while the next steps run."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from actors.errors import ActorLost, RunFailed
from actors.runs.folder import read_jsonl
from tests.actors.training.made_trainer import PROMPTS, SAMPLES, STEPS, learner, rows, trainer


def test_steps_run_while_a_checkpoint_is_written_and_the_next_one_waits_for_it(
    tmp_path: Path,
) -> None:
    made = trainer(tmp_path / "run", steps=5, checkpoint_every=2)
    slow = learner(made)
    written, update = slow.checkpoint_written, slow.update
    events, third = list[str](), asyncio.Event()

    async def learn(*arguments: Any, **options: Any) -> Any:
        if made.state.step == 3:
            third.set()
        return await update(*arguments, **options)

    async def write() -> None:
        step = made.state.step
        if step == 2:
            await third.wait()
        await written()
        events.append(f"{step} written at {made.state.step}")

    slow.checkpoint_written, slow.update = write, learn  # type: ignore[method-assign]
    asyncio.run(made.run())
    assert events[0] == "0 written at 0", "before the first update"
    assert events[1] == "2 written at 3"
    assert [event[0] for event in events] == ["0", "2", "4", "5"]
    states = [
        json.loads((folder / "trainer.json").read_text())["state"]["step"]
        for folder in sorted(made.folder.checkpoints.glob("step-*"))
    ]
    assert states == [4, 5], "a checkpoint holds what was when it began"
    saved = made.folder.checkpoints / "step-000004" / "learner" / "state.json"
    assert json.loads(saved.read_text()) == 4


def test_a_learner_lost_while_it_writes_returns_to_the_checkpoint_before(tmp_path: Path) -> None:
    made = trainer(tmp_path / "run", checkpoint_every=2)
    interrupted = learner(made)
    written = interrupted.checkpoint_written

    async def die() -> None:
        if made.state.step == 4 and not interrupted.restarts:
            interrupted.lose_at = [4]
            await asyncio.Event().wait()  # the update tells first
        await written()

    interrupted.checkpoint_written = die  # type: ignore[method-assign]
    asyncio.run(made.run())
    assert interrupted.restarts == 1
    first = [update[0] // (PROMPTS * SAMPLES) for update in interrupted.trained]
    assert first == [0, 1, 2, 3, 2, 3, 4, 5, 6, 7, 8], "steps 3 and 4 again, from step 2"
    assert not list(made.folder.checkpoints.glob("*.partial"))
    assert [row["step"] for row in rows(made)] == list(range(1, STEPS + 1))


def test_a_write_that_fails_ends_the_run_after_its_step_and_leaves_the_one_before(
    tmp_path: Path,
) -> None:
    made = trainer(tmp_path / "run", checkpoint_every=2)
    failing = learner(made)
    written = failing.checkpoint_written

    async def fail() -> None:
        if made.state.step == 4:
            raise RunFailed("the disk became full")
        await written()

    failing.checkpoint_written = fail  # type: ignore[method-assign]
    with pytest.raises(RunFailed, match="the disk became full"):
        asyncio.run(made.run())
    assert made.state.step in (4, 5)
    latest = made.folder.latest()
    assert latest is not None
    assert latest.name == "step-000002"


def test_an_interrupted_run_leaves_the_last_whole_checkpoint(tmp_path: Path) -> None:
    made = trainer(tmp_path / "run", checkpoint_every=2)
    endless = learner(made)
    written, update, fifth = endless.checkpoint_written, endless.update, asyncio.Event()

    async def learn(*arguments: Any, **options: Any) -> Any:
        if made.state.step == 4:
            fifth.set()
        return await update(*arguments, **options)

    async def write() -> None:
        if made.state.step == 4:
            await asyncio.Event().wait()
        await written()

    endless.checkpoint_written, endless.update = write, learn  # type: ignore[method-assign]

    async def interrupt() -> None:
        run = asyncio.create_task(made.run())
        await fifth.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(interrupt())
    latest = made.folder.latest()
    assert latest is not None
    assert latest.name == "step-000002"


def test_a_run_that_fails_finishes_the_checkpoint_that_it_began(tmp_path: Path) -> None:
    made = trainer(tmp_path / "run", checkpoint_every=2)
    failing = learner(made)
    written, update, broken = failing.checkpoint_written, failing.update, asyncio.Event()

    async def slow() -> None:
        if made.state.step == 2:
            await broken.wait()
        await written()

    async def fail(*arguments: Any, **options: Any) -> Any:
        if made.state.step == 2:
            broken.set()
            raise RunFailed("a loss is not a number")
        return await update(*arguments, **options)

    failing.checkpoint_written = slow  # type: ignore[method-assign]
    failing.update = fail  # type: ignore[method-assign]
    with pytest.raises(RunFailed, match="not a number"):
        asyncio.run(made.run())
    latest = made.folder.latest()
    assert latest is not None
    assert latest.name == "step-000002"


@pytest.mark.parametrize("staleness", [0, 1])
def test_a_learner_lost_over_the_first_checkpoint_begins_the_same_run_again(
    tmp_path: Path, staleness: int
) -> None:
    """The first rounds are under way by then: their samples are asked again, under the same ids."""
    settings = {"steps": 3, "max_staleness": staleness}
    calm, made = (trainer(tmp_path / name, **settings) for name in ("calm", "lost"))
    interrupted = learner(made)
    written = interrupted.checkpoint_written

    async def die() -> None:
        if not interrupted.restarts:
            while not made.state.next_sample:  # noqa: ASYNC110
                await asyncio.sleep(0)
            raise ActorLost("learner: checkpoint_written: the actor died")
        await written()

    interrupted.checkpoint_written = die  # type: ignore[method-assign]
    for each in (calm, made):
        asyncio.run(each.run())
    assert interrupted.restarts == 1
    assert interrupted.trained == learner(calm).trained
    asked = [
        [row["asked"] for row in read_jsonl(each.folder.curriculum) if row["step"]]
        for each in (calm, made)
    ]
    assert len(asked[0]) == 3
    assert asked[0] == asked[1]
