"""The learner's benchmark: our update against TRL's and against one with full logits, and the
memory of the loss.

Each contender (ours and the baselines) runs in a process of its own (`learner_baselines`) and
updates on the same batch of samples, from the same weights, in the same precision; they take turns.
What is timed is one whole update: log-probabilities of old policy and reference, then forward,
backward and optimizer steps. Advantages are GRPO's, so that no contender has a critic. Each process
computes with one thread and its seconds are its own processor time, so that other work on the
machine hardly counts.
"""

from __future__ import annotations

import json
import logging
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.bench.record import Figure, ratio
from deploy.versions import ROOT

LOSS_TIMEOUT_S = 600
GROUP = 8
"""Samples of one prompt."""
VOCABULARY = 4096
LOSS_VOCABULARY, LOSS_HIDDEN, LOSS_TOKENS = 32_000, 512, 4096


BASELINES = {
    "trl": "TRL 1.16 GRPOTrainer, its defaults but for the task's",
    "full_logits": "padded batches, whole logits, plain PyTorch",
}
"""Baselines by kind, and what the table says of them."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Workload:
    """What every contender computes; written to its process as JSON."""

    samples: int = 16
    """Trajectories in one update."""
    minibatch: int = 8
    """Trajectories in one optimizer step."""
    micro_batch: int = 4
    """Sequences in a baseline's micro-batch; our token budget is as many tokens."""
    longest_prompt: int = 64
    """Tokens of the longest prompt; the shortest has half of them."""
    longest_response: int = 256
    """Tokens of the longest response; lengths are uniform from a quarter of it on."""
    hidden_size: int = 256
    layers: int = 4
    threads: int = 1
    seed: int = 0


class Contender:
    """A process that makes one update at each request.

    Lifecycle: the process starts with the object, `wait_until_loaded()`, any number of `update()`,
    `close()`.
    """

    def __init__(self, kind: str, folder: Path, workload: Workload) -> None:
        path = folder / f"{kind}.json"
        parts = {name: getattr(workload, name) for name in Workload.__slots__}
        path.write_text(json.dumps({**parts, "kind": kind, "model": str(folder / "model")}))
        self._log = (folder / f"{kind}.log").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "deploy.bench.learner.baselines", str(path)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
        )  # fmt: skip
        self.kind = kind

    def wait_until_loaded(self) -> None:
        """Return once the process can update."""
        self._next_reply()

    def update(self) -> dict[str, float]:
        """One update.

        Returns:
            `seconds` of processor time, `tokens`, and `peak_mib`: the peak memory above that of
            the loaded process, with optimizer state and kept gradients [MiB].
        """
        assert self._process.stdin is not None
        self._process.stdin.write("update\n")
        self._process.stdin.flush()
        return self._next_reply()

    def _next_reply(self) -> dict[str, float]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        self._log.seek(0)
        raise RuntimeError(f"{self.kind} ended: {self._log.read()[-2000:]}")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._log.close()


def measure(rounds: int) -> Iterator[Figure]:
    """Every figure, each as soon as it is known.

    Raises:
        RuntimeError: TRL is not installed (`make bench-learner` installs it).
    """
    with tempfile.TemporaryDirectory(prefix="stepcoder-bench-") as temporary:
        logger.info("one update in turn: ours, TRL's GRPO, full logits ...")
        yield from updates(Path(temporary), Workload(), rounds)
    logger.info("memory of the loss at vocabulary %d ...", LOSS_VOCABULARY)
    yield from loss_memory()


def updates(folder: Path, workload: Workload, rounds: int) -> Iterator[Figure]:
    """Tokens per second and peak memory of a whole update, against the baselines."""
    make_model(folder / "model", workload)
    with ExitStack() as stack:
        contenders = [
            stack.enter_context(closing(Contender(kind, folder, workload)))
            for kind in ("ours", *BASELINES)
        ]
        for contender in contenders:
            contender.wait_until_loaded()
        for contender in contenders:  # the first update allocates and compiles
            contender.update()
        measured: dict[str, list[dict[str, float]]] = {c.kind: [] for c in contenders}
        for turn in range(rounds):
            for contender in contenders if turn % 2 else contenders[::-1]:
                measured[contender.kind].append(contender.update())
    ours = measured["ours"]
    rate = [row["tokens"] / row["seconds"] for row in ours]
    name = "tokens_per_s"
    value = statistics.median(rate)
    yield Figure(name, value, "tokens/s", "ours, prompt and response", None, None, True, (*rate,))
    for kind, target, moonshot in (("trl", 1.3, 2.0), ("full_logits", None, None)):
        speed = [b["seconds"] / a["seconds"] for a, b in zip(ours, measured[kind], strict=True)]
        yield ratio(f"tokens_per_s_vs_{kind}", speed, BASELINES[kind], target, moonshot)
        memory = [a["peak_mib"] / b["peak_mib"] for a, b in zip(ours, measured[kind], strict=True)]
        yield ratio(f"peak_memory_vs_{kind}", memory, BASELINES[kind], None, None, lower=True)


def loss_memory() -> Iterator[Figure]:
    """Peak memory of log-probabilities, forward and backward, beyond inputs and their gradients."""
    # Memory is measured and not time, so the processes may run at the same time.
    tasks = [("chunked", 4 * LOSS_TOKENS), ("full", LOSS_TOKENS), ("chunked", LOSS_TOKENS)]
    with ThreadPoolExecutor(max_workers=2) as pool:
        longer, full, ours = pool.map(loss_peak, *zip(*tasks, strict=True))
    against = f"whole logits, {LOSS_TOKENS} tokens ({full:.0f} MiB)"
    yield ratio("loss_peak_memory_vs_full_logits", [ours / full], against, 0.25, 0.1, lower=True)
    against = f"the same at {LOSS_TOKENS} tokens ({ours:.0f} MiB)"
    yield ratio("loss_peak_memory_4x_tokens", [longer / ours], against, 1.1, 1.0, lower=True)


def loss_peak(kind: str, tokens: int) -> float:
    """Peak memory of one way to compute the loss, in a fresh process [MiB]."""
    task = {"kind": f"loss_{kind}", "tokens": tokens}
    shape = {"vocabulary": LOSS_VOCABULARY, "hidden_size": LOSS_HIDDEN, "threads": 1}
    with tempfile.TemporaryDirectory(prefix="stepcoder-bench-") as temporary:
        path = Path(temporary) / "loss.json"
        path.write_text(json.dumps({**task, **shape}))
        process = subprocess.run(
            [sys.executable, "-m", "deploy.bench.learner.baselines", str(path)],
            cwd=ROOT, capture_output=True, text=True, timeout=LOSS_TIMEOUT_S, check=True,
        )  # fmt: skip
    return float(json.loads(process.stdout.splitlines()[-1])["peak_mib"])


def make_model(folder: Path, workload: Workload) -> None:
    """A random Llama and a tokenizer of `VOCABULARY` tokens."""
    from learner.config import ModelConfig
    from learner.models.networks import create_llama
    from learner.tokenizer import train_tokenizer
    from learner.zero.export import write_pretrained

    generator = random.Random(workload.seed)
    words = ["".join(generator.choices("abcdefgh", k=5)) for _ in range(2 * VOCABULARY)]
    tokenizer = train_tokenizer([" ".join(words)], VOCABULARY)
    tokenizer.add_tokens([f"<{n}>" for n in range(VOCABULARY - len(tokenizer))])
    shape = ModelConfig(
        hidden_size=workload.hidden_size,
        layers=workload.layers,
        heads=4,
        intermediate_size=int(2.75 * workload.hidden_size),
    )
    model = create_llama(shape, tokenizer, workload.seed)
    write_pretrained(folder, model, dict(model.state_dict()), tokenizer)


def samples(spec: dict[str, Any]) -> list[tuple[list[int], list[int], float]]:
    """Prompt ids, response ids and reward of each sample: the same for every contender."""
    generator = random.Random(spec["seed"] + 1)
    drawn = []
    for number in range(spec["samples"]):
        if number % GROUP == 0:
            length = generator.randint(spec["longest_prompt"] // 2, spec["longest_prompt"])
            prompt = [generator.randrange(300, VOCABULARY) for _ in range(length)]
        length = round(spec["longest_response"] * generator.uniform(0.25, 1))
        response = [generator.randrange(300, VOCABULARY) for _ in range(length)]
        drawn.append((prompt, response, generator.choice([1.0, -0.3, -0.6, -1.0])))
    return drawn
