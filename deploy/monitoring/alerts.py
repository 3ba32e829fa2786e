"""The alert rules of Prometheus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from actors.runs.definitions.registry import BY_NAME


@dataclass(frozen=True)
class Alert:
    """A condition on a run that a person should look at."""

    name: str
    value: str
    """What is watched, in PromQL; has data in every run that `needs` allows."""
    condition: str
    """Compares it."""
    wait: str
    """How long the condition must hold."""
    severity: str
    """`critical`: the run learns something wrong or is about to end; `warning`: look at it."""
    summary: str
    """What is wrong."""
    remedy: str
    """What to do."""
    needs: str = ""
    """As for `Query.needs`."""

    @property
    def expr(self) -> str:
        """The whole expression."""
        return f"{self.value} {self.condition}"


def _name(figure: str) -> str:
    return BY_NAME[figure].prometheus_name


def _share_of_asked(fate: str) -> str:
    # Without samples of the fate there is no series of it: that is a share of 0. A run that asked
    # for none in the window has a share of NaN, which is above nothing.
    samples = _name("samples")
    some = f'sum by (run) (increase({samples}{{fate="{fate}"}}[15m]))'
    asked = f'sum by (run) (increase({samples}{{fate="asked"}}[15m]))'
    return f"(({some} or 0 * {asked}) / {asked})"


ALERTS = (
    Alert(
        "LogProbMismatch",
        f"max by (run) ({_name('learner/rollout_trainer_logprob_diff_p99')})",
        "> 0.5",
        "1m",
        "critical",
        "engine and learner disagree on the log-probabilities of fresh samples by "
        "{{ $value | humanize }} nats at the 99th percentile",
        "stop the run: the engines may hold other weights than the learner, or another precision; "
        "set loop.verify_every 1 and rollout.dtype to the learner's, and start again",
    ),
    Alert(
        "NoProgress",
        f"(time() - max by (run) ({_name('step_time')}))",
        "> 1800",
        "1m",
        "critical",
        "no step has ended for {{ $value | humanizeDuration }}",
        "see the run's log.txt and `ray list actors`: an evaluation or a checkpoint may take this "
        "long; else an engine, the learner or the cluster hangs. Stop the job and --resume",
    ),
    Alert(
        "SandboxErrors",
        _share_of_asked("dropped/infra_error"),
        "> 0.05",
        "5m",
        "warning",
        "the sandbox could not judge {{ $value | humanizePercentage }} of the samples",
        "see warnings of sandbox-* in log.txt: the Docker engine of a node, its memory, its disk",
    ),
    Alert(
        "DroppedSamples",
        _share_of_asked("dropped"),
        "> 0.2",
        "5m",
        "warning",
        "{{ $value | humanizePercentage }} of the samples are dropped",
        "the counter's label fate says why: infra_error is the sandbox, reward_error is "
        "reward.function, no_signal is dynamic sampling (loop.resample_rounds)",
    ),
    Alert(
        "StaleSamples",
        f"max by (run) ({_name('learner/importance_capped_share')})",
        "> 0.1",
        "5m",
        "warning",
        "{{ $value | humanizePercentage }} of the tokens have an importance weight at its cap",
        "the policy moves faster than samples arrive: lower loop.max_staleness or the learning "
        "rate, or add engines",
        needs="loop.max_staleness is above 0",
    ),
    Alert(
        "Restarts",
        f"sum by (run, role) (max_over_time({_name('restarts/{role}')}[30m]) - "
        f"min_over_time({_name('restarts/{role}')}[30m]))",
        "> 3",
        "0m",
        "warning",
        "{{ $value }} restarts of {{ $labels.role }} within half an hour",
        "see log.txt for what killed it; out of memory is said there. `stepcoder plan` says what "
        "the role takes",
    ),
    Alert(
        "Saturated",
        f"max by (run, role) ({_name('processor/{role}')})",
        "> 0.8",
        "10m",
        "warning",
        "the {{ $labels.role }} uses {{ $value | humanizePercentage }} of its core",
        "the driver: more samples a step (loop.prompts_per_step, rollout.samples_per_prompt), more "
        "engines of a node and collector; a collector: lower rollout.engines_per_collector",
    ),
    Alert(
        "DiskFull",
        f"(min by (run) ({_name('disk_free')}) / max by (run) ({_name('disk_total')}))",
        "< 0.05",
        "1m",
        "critical",
        "{{ $value | humanizePercentage }} of the disk of the run's folder is free",
        "free space, or the next checkpoint ends the run: lower loop.keep_checkpoints, set "
        "loop.keep_optimizer 1, loop.record none",
    ),
)


def rules_yaml() -> str:
    """The file of rules."""
    rules: list[dict[str, Any]] = [
        {
            "alert": f"StepCoder{alert.name}",
            "expr": alert.expr,
            "for": alert.wait,
            "labels": {"severity": alert.severity},
            "annotations": {
                "summary": f"run {{{{ $labels.run }}}}: {alert.summary}",
                "description": alert.remedy,
            },
        }
        for alert in ALERTS
    ]
    head = "# Made by `make monitoring` from deploy/monitoring/alerts.py; do not edit.\n"
    tree = {"groups": [{"name": "stepcoder", "rules": rules}]}
    return head + yaml.safe_dump(tree, sort_keys=False, width=1000)
