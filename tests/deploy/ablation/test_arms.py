"""Arms: each is a valid configuration, and a name that none has gets the nearest one."""

from __future__ import annotations

import pytest

from deploy.ablation.arms import ARMS, CORE, in_order, pick_arms
from deploy.ablation.claims import CLAIMS
from deploy.config import differing_keys, load_config
from deploy.config.load import PROFILES
from deploy.errors import ConfigError

PROFILE = PROFILES / "ablation.yaml"


@pytest.mark.parametrize("name", ARMS)
def test_an_arm_differs_from_the_profile_by_its_switch_alone(name: str) -> None:
    arm = ARMS[name]
    config = load_config(PROFILE, arm.arguments())
    assert set(differing_keys(load_config(PROFILE), config)) <= arm.overrides.keys()


def test_arms_differ_and_all_name_schedule_and_mask() -> None:
    overrides = [tuple(sorted(arm.overrides.items())) for arm in ARMS.values()]
    assert len(set(overrides)) == len(ARMS)
    assert all({"curriculum.mode", "learner.mask"} <= arm.overrides.keys() for arm in ARMS.values())


def test_names_and_sets_stand_for_arms_once_each() -> None:
    assert [arm.name for arm in pick_arms("linear, core,full")] == [
        "linear",
        *CORE,
    ]
    assert [arm.name for arm in pick_arms("all")] == list(ARMS)


def test_an_unknown_arm_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no arm is called 'no-cccc': did you mean no-cccs"):
        pick_arms("full,no-cccc")
    with pytest.raises(ConfigError, match="names no arm"):
        pick_arms(" ,")


def test_arms_that_are_gone_come_last() -> None:
    assert in_order({"gone", "ppo", "full"}) == ["full", "ppo", "gone"]


def test_claims_are_about_arms() -> None:
    assert {arm for claim in CLAIMS for arm in (claim.a, claim.b)} <= ARMS.keys()


def test_the_held_out_problems_of_the_profile_chose_no_setting() -> None:
    validation = load_config(PROFILES / "local.yaml").data
    heldout = load_config(PROFILE).data
    assert heldout.heldout_seed not in (
        validation.heldout_seed,
        validation.train_seed,
        heldout.train_seed,
    )
