"""One contender of the learner's benchmark in a process of its own: ours or a baseline.

    python -m deploy.bench.learner.baselines SPEC

Writes a line of JSON when it is loaded, then one update's figures for each line that it reads.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LR = 1e-6
CLIP = 0.2
BETA = 0.05

Spec = dict[str, Any]


def main(path: str) -> None:
    """Load the contender that the specification names and serve updates."""
    spec = json.loads(Path(path).read_text())
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ["OMP_NUM_THREADS"] = str(spec["threads"])
    import torch

    torch.set_num_threads(spec["threads"])
    torch.manual_seed(0)
    if spec["kind"].startswith("loss_"):
        print(json.dumps({"peak_mib": _loss(spec)}), flush=True)
        return
    load = {"ours": _ours, "trl": _trl, "full_logits": _full_logits}[spec["kind"]]
    with contextlib.redirect_stdout(sys.stderr):
        update = load(spec)
    loaded = _status("VmRSS")
    print("{}", flush=True)
    from deploy.bench.learner.measure import samples

    tokens = sum(len(prompt) + len(response) for prompt, response, _ in samples(spec))
    for _ in sys.stdin:
        with contextlib.redirect_stdout(sys.stderr):
            _reset_peak()
            began = time.process_time()
            update()
            seconds = time.process_time() - began
        peak = _status("VmHWM") - loaded
        print(json.dumps({"seconds": seconds, "tokens": tokens, "peak_mib": peak}), flush=True)


def _ours(spec: Spec) -> Callable[[], object]:
    """This package's update with GRPO's advantages and no mask.

    ZeRO stage 0, because the baselines partition nothing either.
    """
    from deploy.bench.learner.measure import GROUP, samples
    from learner.config import LearnerConfig, OptimizerConfig, ZeroConfig
    from learner.ppo import PPOLearner
    from learner.trajectory import Trajectory, TrajectoryGroup

    longest = spec["longest_prompt"] + spec["longest_response"]
    config = LearnerConfig(
        policy=OptimizerConfig(lr=LR),
        minibatch_size=spec["minibatch"],
        token_budget=spec["micro_batch"] * longest,
        advantage="grpo",
        kl_in="loss",
        kl_estimator="k3",
        kl_coefficient=BETA,
        logprob_diff_alarm="off",
        zero=ZeroConfig(stage=0),
    )
    learner = PPOLearner(config, Path(spec["model"]), rollout_temperature=1.0)
    batch = [
        Trajectory(
            sample_id=number,
            problem_id="bench",
            stage=0,
            prompt_ids=tuple(prompt),
            response_ids=tuple(response),
            rollout_logprobs=(-8.0,) * len(response),
            executed_mask=(True,) * len(response),
            reward=reward,
            weight_version=0,
            outcome="failed",
            finish_reason="stop",
            cut_mask=(False,) * len(response),
        )
        for number, (prompt, response, reward) in enumerate(samples(spec))
    ]
    groups = [
        TrajectoryGroup(tuple(batch[first : first + GROUP]))
        for first in range(0, len(batch), GROUP)
    ]
    return lambda: learner.update(groups)


def _trl(spec: Spec) -> Callable[[], object]:
    """TRL's GRPOTrainer on the same completions: only its generation is replaced.

    Scoring (old policy, reference), splitting, padding, loss and optimizer steps are TRL's own.
    """
    from datasets import Dataset  # type: ignore[import-not-found]
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer  # type: ignore[import-not-found]

    from deploy.bench.learner.measure import GROUP, samples

    batch = samples(spec)

    class FixedResponses(GRPOTrainer):
        """Takes the batch's responses as the completions of every batch."""

        def _generate(self, *_: Any, **__: Any) -> Any:
            prompts, responses = [p for p, _, _ in batch], [r for _, r, _ in batch]
            return prompts, responses, None, ["" for _ in batch], None, {}, None, None

    def reward(**_: Any) -> list[float | None]:
        return [value for _, _, value in batch]

    settings = GRPOConfig(
        output_dir=tempfile.mkdtemp(prefix="stepcoder-trl-"),
        per_device_train_batch_size=spec["micro_batch"],
        gradient_accumulation_steps=spec["minibatch"] // spec["micro_batch"],
        steps_per_generation=spec["samples"] // spec["micro_batch"],
        num_generations=GROUP,
        max_completion_length=spec["longest_response"],
        num_iterations=1,
        max_steps=10**6,
        learning_rate=LR,
        lr_scheduler_type="constant",
        beta=BETA,
        epsilon=CLIP,
        loss_type="dapo",
        temperature=1.0,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )
    trainer = FixedResponses(
        model=AutoModelForCausalLM.from_pretrained(spec["model"]),
        reward_funcs=reward,  # type: ignore[arg-type]
        args=settings,
        train_dataset=Dataset.from_list([{"prompt": "x"}] * 1000),
        processing_class=AutoTokenizer.from_pretrained(spec["model"]),
    )
    return _stepping(trainer, spec["samples"] // spec["minibatch"])


def _stepping(trainer: Any, optimizer_steps: int) -> Callable[[], object]:
    """Run `trainer.train()` in a thread, `optimizer_steps` at each call of the result."""
    import threading

    from transformers import TrainerCallback

    go, done = threading.Semaphore(0), threading.Semaphore(0)
    failure: list[BaseException] = []

    class Gate(TrainerCallback):
        """Holds the trainer between two updates.

        `go` lets it begin an update; it releases `done` when it arrives at the next one.
        """

        def on_step_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
            if state.global_step % optimizer_steps == 0:
                if state.global_step:
                    done.release()
                go.acquire()

    def train() -> None:
        try:
            trainer.train()
        except BaseException as error:
            failure.append(error)
            done.release()

    trainer.add_callback(Gate())
    threading.Thread(target=train, daemon=True).start()

    def update() -> None:
        go.release()
        done.acquire()
        if failure:
            raise failure[0]

    return update


def _full_logits(spec: Spec) -> Callable[[], object]:
    """The plain way: micro-batches padded to their longest sequence, logits of every position."""
    import torch
    from transformers import AutoModelForCausalLM

    from deploy.bench.learner.measure import GROUP, samples
    from learner.algorithm.advantage import grpo

    policy: Any = AutoModelForCausalLM.from_pretrained(spec["model"])
    reference: Any = AutoModelForCausalLM.from_pretrained(spec["model"]).requires_grad_(False)
    adam = torch.optim.AdamW(policy.parameters(), LR, weight_decay=0.0)
    batch = samples(spec)
    advantages = grpo(
        torch.tensor([reward for _, _, reward in batch]), torch.arange(len(batch)) // GROUP
    )
    size = spec["micro_batch"]
    parts = [range(start, start + size) for start in range(0, len(batch), size)]

    def padded(rows: range) -> tuple[torch.Tensor, torch.Tensor]:
        longest = max(len(batch[i][0]) + len(batch[i][1]) for i in rows)
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        mask = torch.zeros(len(rows), longest - 1, dtype=torch.bool)
        for row, i in enumerate(rows):
            prompt, response, _ = batch[i]
            ids[row, : len(prompt) + len(response)] = torch.tensor(prompt + response)
            mask[row, len(prompt) - 1 : len(prompt) + len(response) - 1] = True
        return ids, mask

    def logprobs(model: Any, ids: torch.Tensor) -> torch.Tensor:
        logits = model(ids, use_cache=False).logits[:, :-1]
        return logits.log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]

    def update() -> None:
        inputs = [padded(rows) for rows in parts]
        with torch.no_grad():
            old = [logprobs(policy, ids) for ids, _ in inputs]
            frozen = [logprobs(reference, ids) for ids, _ in inputs]
        for first in range(0, len(parts), spec["minibatch"] // size):
            step = range(first, first + spec["minibatch"] // size)
            count = sum(int(inputs[at][1].sum()) for at in step)
            for at in step:
                ids, mask = inputs[at]
                new = logprobs(policy, ids)
                ratio, gain = (new - old[at]).exp(), advantages[list(parts[at])][:, None]
                term = torch.minimum(ratio * gain, ratio.clamp(1 - CLIP, 1 + CLIP) * gain)
                away = new - frozen[at]
                penalty = (-away).exp() - 1 + away
                loss = torch.where(mask, BETA * penalty - term, 0.0).sum() / count
                loss.backward()
            torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
            adam.step()
            adam.zero_grad()

    return update


def _loss(spec: Spec) -> float:
    """Peak MiB of log-probabilities and their backward beyond inputs and gradients."""
    import torch

    from learner.models.logprobs import token_logprobs

    hidden = torch.randn(spec["tokens"], spec["hidden_size"]).requires_grad_()
    weight = torch.randn(spec["vocabulary"], spec["hidden_size"]).requires_grad_()
    targets = torch.randint(spec["vocabulary"], (spec["tokens"],))
    hidden.grad, weight.grad = torch.ones_like(hidden), torch.ones_like(weight)
    (torch.randn(64, 64) @ torch.randn(64, 64)).sum()  # the matrix library's own memory
    rest = _reset_peak()
    if spec["kind"] == "loss_full":
        logprobs = (hidden @ weight.T).log_softmax(-1).gather(-1, targets[:, None])[:, 0]
    else:
        logprobs, _ = token_logprobs(hidden, weight, targets)
    logprobs.sum().backward()
    gradients = 4 * (hidden.numel() + weight.numel()) / 2**20
    return _status("VmHWM") - rest - gradients


def _reset_peak() -> float:
    """Reset the kernel's record of the peak memory; returns the present memory [MiB]."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> float:
    """A memory figure of this process [MiB]."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {name}")


if __name__ == "__main__":
    main(sys.argv[1])
