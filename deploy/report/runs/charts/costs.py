"""Charts of the update, of lengths and of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deploy.report.runs.charts.chart import MOST_BARS, Chart, Line, line, thinned
from deploy.report.runs.charts.learning import overlay, panel_by_group
from deploy.report.runs.groups import Curve, RunGroup

STAGES = {
    "rollout": "generation",
    "sandbox": "judging left over",
    "learn": "update",
    "broadcast": "broadcast",
}


def update_charts(groups: Sequence[RunGroup]) -> Iterator[Chart]:
    """KL, entropy, clipping, gradients, and the agreement of engine and learner."""
    yield overlay(
        groups, "kl", "KL to the reference",
        "Mean per token, of the policy before the update to the policy that training began with.",
        "nats", [("KL", "first", "learner/kl")],
    )  # fmt: skip
    yield overlay(
        groups, "entropy", "Entropy", "Mean entropy of the policy at a generated token.",
        "nats", [("entropy", "first", "learner/entropy")],
    )  # fmt: skip
    yield overlay(
        groups, "clip", "Clipped share", "Share of the learned tokens whose ratio PPO clipped.",
        "share", [("clipped", "first", "learner/clip_share")],
    )  # fmt: skip
    yield overlay(
        groups, "logprob-difference", "Engine against learner",
        "Difference of the log-probabilities of fresh samples between rollout engine and learner. "
        "Rounding in float32 is about 1e-6.",
        "nats",
        [("largest", "first", "learner/rollout_trainer_logprob_diff"),
         ("99th percentile", "second", "learner/rollout_trainer_logprob_diff_p99"),
         ("mean", "third", "learner/rollout_trainer_logprob_diff_mean")],
        log=True,
    )  # fmt: skip
    yield overlay(
        groups, "gradient", "Gradient norms", "Before clipping, mean over the update's steps.",
        "number",
        [("policy", "first", "learner/policy_grad_norm"),
         ("critic", "second", "learner/critic_grad_norm")],
        log=True,
    )  # fmt: skip
    yield overlay(
        groups, "explained-variance", "Explained variance",
        "Of the returns by the critic's values; 1 is perfect, below 0 is worse than a constant.",
        "number", [("explained variance", "first", "learner/explained_variance")],
    )  # fmt: skip


def length_charts(groups: Sequence[RunGroup]) -> Iterator[Chart]:
    """Lengths of completions and prompts, and how many were cut off."""
    yield overlay(
        groups, "lengths", "Lengths", "Tokens of a step's completions and prompts.", "tokens",
        [("completion, mean", "first", "length/completion/mean"),
         ("completion, 90th percentile", "second", "length/completion/p90"),
         ("prompt, mean", "third", "length/prompt/mean")],
    )  # fmt: skip
    yield overlay(
        groups, "truncated", "Cut off at the limit",
        "Share of the completions that reached `rollout.max_new_tokens`.",
        "share", [("cut off", "first", "rollout/cut_short")],
    )  # fmt: skip


def time_charts(groups: Sequence[RunGroup]) -> Iterator[Chart]:
    """Seconds by stage, their overlap, and throughput."""
    yield Chart(
        "seconds", "Seconds of a step, by stage",
        "Stages of a step stacked; the line is the wall time of the step. Where the stack is "
        "higher than the line, stages overlap.",
        "bars", "seconds", panel_by_group(groups, _seconds), wide=len(groups) == 1,
    )  # fmt: skip
    yield overlay(
        groups, "overlap", "Overlap",
        "Share of generation and judging that ran while the learner learned; above 0 with "
        "`loop.max_staleness`.",
        "share", [("overlap", "first", "overlap")], whole=True,
    )  # fmt: skip
    yield overlay(
        groups, "throughput", "Generation", "Tokens generated per second of generation.",
        "per_second", [("tokens/s", "first", "rollout/tokens_per_s")],
    )  # fmt: skip


def _seconds(group: RunGroup) -> list[Line]:
    columns = {stage: group.column(f"seconds/{stage}") for stage in STAGES}
    step = group.column("seconds/step")
    drawn = [
        _bars(name, stage, columns[stage])
        for stage, name in STAGES.items()
        if columns[stage] is not None
    ]
    if step is not None:
        drawn.append(_bars("wall time of the step", "overall", step))
    return drawn


def _bars(name: str, colour: str, curve: Curve | None) -> Line:
    [drawn] = line(name, colour, curve and Curve(curve.steps, curve.mean))
    return thinned(drawn, MOST_BARS)
