"""The panels of the dashboard: rows by stage of a step, our figures beside Ray's of its nodes."""

from __future__ import annotations

from dataclasses import dataclass

from actors.runs.definitions.registry import BY_NAME
from deploy.monitoring.queries import Query, figure, node_query, run_query

GPU = "a node has GPUs"
GAE = "learner.advantage is gae"
REFERENCE = "learner.kl_coefficient is above 0"
GROUPS = "learner.advantage is grpo, dr_grpo or rloo"
STALE = "loop.max_staleness is above 0"


@dataclass(frozen=True)
class PanelSpec:
    """One chart over time."""

    title: str
    queries: tuple[Query, ...]
    unit: str = "short"
    """Grafana's id of the unit."""
    stacked: bool = False

    @property
    def description(self) -> str:
        """The help of the figures that it shows, from their definitions."""
        names = {name for query in self.queries for name in query.names}
        shown = [metric.help for metric in BY_NAME.values() if metric.prometheus_name in names]
        return " ".join(shown)


def _rate(name: str) -> str:
    return f"rate({figure(name)}[$__rate_interval])"


SHARE = "percentunit"
ROWS: dict[str, tuple[PanelSpec, ...]] = {
    "Progress": (
        PanelSpec("RL steps", (run_query("step"),)),
        PanelSpec("Seconds of a step, by stage",
                  (run_query("seconds/{stage}", "{{stage}}"),), "s", stacked=True),
        PanelSpec("Seconds of a whole step", (run_query("seconds/step"),), "s"),
        PanelSpec("Processor of the driver and of the busiest collector",
                  (run_query("processor/{role}", "{{role}}"),), SHARE),
        PanelSpec("Samples a second, by fate",
                  (Query(f"sum by (fate) (rate({figure('samples')}[$__rate_interval]))",
                         "{{fate}}"),)),
    ),
    "Learning": (
        PanelSpec("Reward", (run_query("reward"),)),
        PanelSpec("Pass rate", (run_query("pass_rate", "all"),
                                run_query("pass_rate/tier/{tier}", "{{tier}}")), SHARE),
        PanelSpec("pass@1 in evaluation",
                  (run_query("eval/{suite}/pass_at_1/{tier}", "{{suite}} {{tier}}"),), SHARE),
        PanelSpec("Stages left", (run_query("curriculum/mean_stages_left", "all"),
                                  run_query("curriculum/mean_stages_left/{tier}", "{{tier}}"))),
        PanelSpec("Full tasks", (run_query("curriculum/full_task_share"),), SHARE),
        PanelSpec("Groups without signal",
                  (run_query("learner/groups_without_signal", needs=GROUPS),), SHARE),
    ),
    "Rollout (vLLM)": (
        PanelSpec("Generated tokens a second", (run_query("rollout/tokens_per_s"),)),
        PanelSpec("Length of completions [tokens]",
                  (run_query("length/completion/mean", "mean"),
                   run_query("length/completion/p90", "90 %"),
                   run_query("length/completion/max", "longest"))),
        PanelSpec("Cut off at their limit", (run_query("rollout/cut_short"),), SHARE),
        PanelSpec("Sequences in the engines",
                  (run_query("engine/running/{engine}", "{{engine}} running"),
                   run_query("engine/waiting/{engine}", "{{engine}} waiting"))),
        PanelSpec("KV cache in use", (run_query("engine/kv_cache/{engine}", "{{engine}}"),), SHARE),
        PanelSpec("Prompt tokens from the prefix cache",
                  (Query(f"{_rate('engine/cache_hits/{engine}')} / "
                         f"{_rate('engine/cache_queries/{engine}')}", "{{engine}}"),), SHARE),
        PanelSpec("Preemptions a second",
                  (Query(_rate("engine/preemptions/{engine}"), "{{engine}}"),)),
    ),
    "Sandbox": (
        PanelSpec("Outcomes", (run_query("outcome/{outcome}", "{{outcome}}"),), SHARE, True),
        PanelSpec("Time of a program", (run_query("sandbox/program_ms"),), "ms"),
        PanelSpec("Most samples in judging", (run_query("sandbox/peak_queue"),)),
        PanelSpec("Programs that lack a library", (run_query("sandbox/missing_library"),), SHARE),
    ),
    "Learner (DeepSpeed)": (
        PanelSpec("Entropy and KL [nats]",
                  (run_query("learner/entropy", "entropy"),
                   run_query("learner/kl", "KL to the reference", REFERENCE),
                   run_query("learner/kl_to_old", "KL to the old policy"))),
        PanelSpec("Loss", (run_query("learner/policy_loss", "policy"),
                           run_query("learner/value_loss", "critic", GAE))),
        PanelSpec("Gradient norm", (run_query("learner/policy_grad_norm", "policy"),
                                    run_query("learner/critic_grad_norm", "critic", GAE))),
        PanelSpec("Tokens outside the policy loss",
                  (run_query("learner/masked_share", "all"),
                   run_query("learner/masked_share/{outcome}", "{{outcome}}")), SHARE),
        PanelSpec("Clipped and capped tokens",
                  (run_query("learner/clip_share", "clipped"),
                   run_query("learner/importance_capped_share", "capped", STALE)), SHARE),
        PanelSpec("Explained variance",
                  (run_query("learner/explained_variance", needs=GAE),), SHARE),
    ),
    "Weights and faults": (
        PanelSpec("Log-probabilities, engine against learner [nats]",
                  (run_query("learner/rollout_trainer_logprob_diff", "largest"),
                   run_query("learner/rollout_trainer_logprob_diff_p99", "99 %"))),
        PanelSpec("Staleness [updates]", (run_query("staleness/mean", "mean"),
                                          run_query("staleness/max", "oldest"))),
        PanelSpec("Restarts", (run_query("restarts/{role}", "{{role}}"),)),
        PanelSpec("Free disk of the run's folder", (run_query("disk_free"),), "bytes"),
    ),
    "Nodes (Ray)": (
        PanelSpec("Processors in use [%]",
                  (node_query("ray_node_cpu_utilization{F}", "{{instance}}"),), "percent"),
        PanelSpec("Memory in use",
                  (node_query("ray_node_mem_used_host{F}", "{{instance}}"),), "bytes"),
        PanelSpec("GPUs in use [%]",
                  (node_query("ray_node_gpus_utilization{F}",
                              "{{instance}} {{GpuIndex}}", GPU),), "percent"),
        PanelSpec("GPU memory in use [MiB]",
                  (node_query("ray_node_gram_used{F}", "{{instance}} {{GpuIndex}}", GPU),),
                  "mbytes"),
    ),
}  # fmt: skip
"""Rows and their panels, in order."""
