"""Figures of how a run goes: time, samples, rollouts, sandboxes, weights, faults."""

from __future__ import annotations

from actors.runs.definitions.metric import Metric

PROGRESS = (
    Metric("step", "", "RL steps done.", in_rows=False),
    Metric("step_time", "seconds since 1970", "When the last step ended.", in_rows=False),
    Metric("seconds/step", "seconds", "A whole step.", exported_as="step_seconds"),
    Metric("seconds/{stage}", "seconds",
           "A stage of a step: rollout, sandbox (judging left over after generation), reward, wait "
           "(for the round), learn, broadcast. With staleness, stages overlap."),
    Metric("overlap", "share", "Generation and judging that ran beside the step before."),
    Metric("processor/{role}", "share",
           "Share of a core that the driver's process used in a step (role driver), and the "
           "busiest collector's (collector). Near 1 the engines wait for it."),
)  # fmt: skip

SAMPLES = (
    Metric("samples", "samples",
           "Samples by what became of them (label `fate`): asked, generated, judged, trained, "
           "dropped, and dropped/CAUSE.",
           kind="counter", in_rows=False),
    Metric("ledger/{fate}", "samples",
           "Samples of the step by what became of them: asked, generated, judged, trained, "
           "dropped, dropped/CAUSE. Prometheus has them as the counter `samples`.",
           in_prometheus=False),
    Metric("staleness/mean", "updates",
           "Updates between the weights that wrote a judged sample and those it trained."),
    Metric("staleness/max", "updates", "The same of the oldest sample."),
)  # fmt: skip

ROLLOUT = (
    Metric("rollout/tokens", "tokens", "Generated tokens of the round."),
    Metric("rollout/tokens_per_s", "tokens/s", "Generated tokens of all engines a second."),
    Metric("rollout/cut_short", "share", "Completions that were cut off at their limit."),
    Metric("rollout/outstanding_tokens", "tokens",
           "Tokens of later rounds that the fleet had still to read and write."),
    Metric("length/prompt/mean", "tokens", "Mean length of the prompts."),
    Metric("length/prompt/max", "tokens", "Length of the longest prompt."),
    Metric("length/completion/mean", "tokens", "Mean length of the completions."),
    Metric("length/completion/mean/{tier}", "tokens", "The same of a tier.",
           exported_as="length_completion_mean_tier"),
    Metric("length/completion/p50", "tokens", "Median length of the completions."),
    Metric("length/completion/p90", "tokens", "90th percentile of their lengths."),
    Metric("length/completion/max", "tokens", "Length of the longest completion."),
)  # fmt: skip

ENGINE = (
    Metric("engine/kv_cache/{engine}", "share", "KV cache of an engine that is in use.",
           in_rows=False),
    Metric("engine/running/{engine}", "samples", "Sequences that an engine generates at a time.",
           in_rows=False),
    Metric("engine/waiting/{engine}", "samples",
           "Sequences that wait for room in an engine's batch or KV cache.", in_rows=False),
    Metric("engine/cache_queries/{engine}", "tokens",
           "Prompt tokens that an engine looked up in its prefix cache, since it was loaded.",
           in_rows=False),
    Metric("engine/cache_hits/{engine}", "tokens",
           "Those of them that it found there and did not compute again.", in_rows=False),
    Metric("engine/preemptions/{engine}", "",
           "Sequences that an engine interrupted for want of KV cache and computed again, since it "
           "was loaded.", in_rows=False),
)  # fmt: skip

SANDBOX = (
    Metric("sandbox/program_ms", "milliseconds", "Mean time of a program in the sandbox."),
    Metric("sandbox/missing_library", "share",
           "Programs that import a library which the sandbox lacks."),
    Metric("sandbox/checker_failed", "samples",
           "Samples that no verdict could be had on, because the problem's checker failed."),
    Metric("sandbox/peak_queue", "samples", "Most samples that were judged or waited at a time."),
)  # fmt: skip

CLUSTER = (
    Metric("restarts/{role}", "", "Actors started again in the whole run, by role."),
    Metric("weights/version", "", "Version of the weights."),
    Metric("weights/bytes", "bytes", "Size of one copy of the weights."),
    Metric("store/step", "", "Step of the newest checkpoint that is whole in the object store; -1 "
           "before the first."),
    Metric("store/failures", "", "Uploads to the object store, and removals there, that failed."),
    Metric("disk_free", "bytes", "Free space of the file system of the run's folder.",
           in_rows=False),
    Metric("disk_total", "bytes", "Size of that file system.", in_rows=False),
)  # fmt: skip
