"""The learner's benchmark: our update against TRL's and against one with full logits, and the
memory of the loss.

Each rival lives in a process of its own (`learner_rivals`) and updates on the same batch of
samples from the same weights in the same precision, in turn: ours, theirs, ours, theirs. What is
timed is one whole update: log-probabilities of old policy and reference, then forward, backward and
optimizer steps. Advantages are GRPO's, so that nobody has a critic. Each process computes with one
thread, and its seconds are its own processor time, so that whoever else uses the machine falls on
nobody.
"""

import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.bench.record import Figure, ratio

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 600
GROUP = 8
"""Samples of one prompt."""
VOCABULARY = 4096
LOSS_VOCABULARY, LOSS_HIDDEN, LOSS_TOKENS = 32_000, 512, 4096


@dataclass(frozen=True, slots=True)
class Work:
    """What every rival is given; written to its process as JSON."""

    samples: int = 16
    """Trajectories in one update."""
    minibatch: int = 8
    """Trajectories in one optimizer step."""
    micro_batch: int = 4
    """Sequences in a rival's micro-batch; ours get as many tokens, as a budget."""
    longest_prompt: int = 64
    """Prompts have half to all of these tokens."""
    longest_response: int = 256
    """Responses have a quarter to all of these tokens, evenly."""
    hidden_size: int = 256
    layers: int = 4
    threads: int = 1
    seed: int = 0


class Rival:
    """A process that updates when it is told to."""

    def __init__(self, kind: str, folder: Path, work: Work) -> None:
        path = folder / f"{kind}.json"
        parts = {name: getattr(work, name) for name in Work.__slots__}
        path.write_text(json.dumps({**parts, "kind": kind, "model": str(folder / "model")}))
        self._log = (folder / f"{kind}.log").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "deploy.bench.learner_rivals", str(path)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
        )  # fmt: skip
        self.kind = kind
        self._answer()

    def update(self) -> dict[str, float]:
        """One update; its processor seconds, tokens and peak memory above the process as loaded,
        optimizer state and kept gradients included [MiB].
        """
        assert self._process.stdin is not None
        self._process.stdin.write("update\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, float]:
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


def measure(rounds: int, say: Callable[[str], None]) -> Iterable[Figure]:
    """Every figure, each as soon as it is known; `say` hears what comes next.

    Raises RuntimeError where TRL is not installed (`make bench-learner` does that).
    """
    with tempfile.TemporaryDirectory(prefix="stepcoder-bench-") as temporary:
        say("one update, in turn: ours, TRL's GRPO, full logits")
        yield from updates(Path(temporary), Work(), rounds)
    say(f"memory of the loss at vocabulary {LOSS_VOCABULARY}")
    yield from loss_memory()


def updates(folder: Path, work: Work, rounds: int) -> Iterable[Figure]:
    """Tokens per second and peak memory of a whole update against the others."""
    make_model(folder / "model", work)
    rivals: list[Rival] = []
    try:
        for kind in ("ours", "trl", "full_logits"):
            rivals.append(Rival(kind, folder, work))
        for rival in rivals:  # the first update allocates and compiles
            rival.update()
        seen: dict[str, list[dict[str, float]]] = {rival.kind: [] for rival in rivals}
        for turn in range(rounds):
            for rival in rivals if turn % 2 else rivals[::-1]:
                seen[rival.kind].append(rival.update())
    finally:
        for rival in rivals:
            rival.close()
    ours = seen["ours"]
    rate = [row["tokens"] / row["seconds"] for row in ours]
    name = "tokens_per_s"
    value = statistics.median(rate)
    yield Figure(name, value, "tokens/s", "ours, prompt and response", None, None, True, (*rate,))
    for kind, target, moonshot in (("trl", 1.3, 2.0), ("full_logits", None, None)):
        speed = [b["seconds"] / a["seconds"] for a, b in zip(ours, seen[kind], strict=True)]
        yield ratio(f"tokens_per_s_vs_{kind}", speed, RIVALS[kind], target, moonshot)
        memory = [a["peak_mib"] / b["peak_mib"] for a, b in zip(ours, seen[kind], strict=True)]
        yield ratio(f"peak_memory_vs_{kind}", memory, RIVALS[kind], None, None, lower=True)


RIVALS = {
    "trl": "TRL 1.16 GRPOTrainer, its defaults but for the task's",
    "full_logits": "padded batches, whole logits, plain PyTorch",
}


def loss_memory() -> Iterable[Figure]:
    """Peak memory of log-probabilities, forward and backward, beyond inputs and their gradients."""
    full = loss_peak("full", LOSS_TOKENS)
    ours = loss_peak("chunked", LOSS_TOKENS)
    against = f"whole logits, {LOSS_TOKENS} tokens ({full:.0f} MiB)"
    yield ratio("loss_peak_memory_vs_full_logits", [ours / full], against, 0.25, 0.1, lower=True)
    longer = loss_peak("chunked", 4 * LOSS_TOKENS)
    against = f"the same at {LOSS_TOKENS} tokens ({ours:.0f} MiB)"
    yield ratio("loss_peak_memory_4x_tokens", [longer / ours], against, 1.1, 1.0, lower=True)


def loss_peak(kind: str, tokens: int) -> float:
    """MiB, measured in a fresh process."""
    task = {"kind": f"loss_{kind}", "tokens": tokens}
    shape = {"vocabulary": LOSS_VOCABULARY, "hidden_size": LOSS_HIDDEN, "threads": 1}
    with tempfile.TemporaryDirectory(prefix="stepcoder-bench-") as temporary:
        path = Path(temporary) / "loss.json"
        path.write_text(json.dumps({**task, **shape}))
        done = subprocess.run(
            [sys.executable, "-m", "deploy.bench.learner_rivals", str(path)],
            cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S, check=True,
        )  # fmt: skip
    return float(json.loads(done.stdout.splitlines()[-1])["peak_mib"])


def make_model(folder: Path, work: Work) -> None:
    """A random Llama and a tokenizer of `VOCABULARY` tokens."""
    from learner.config import ModelConfig
    from learner.models.networks import create_llama
    from learner.tokenizer import train_tokenizer
    from learner.zero.export import write_pretrained

    generator = random.Random(work.seed)
    words = ["".join(generator.choices("abcdefgh", k=5)) for _ in range(2 * VOCABULARY)]
    tokenizer = train_tokenizer([" ".join(words)], VOCABULARY)
    tokenizer.add_tokens([f"<{n}>" for n in range(VOCABULARY - len(tokenizer))])
    shape = ModelConfig(
        hidden_size=work.hidden_size,
        layers=work.layers,
        heads=4,
        intermediate_size=int(2.75 * work.hidden_size),
    )
    model = create_llama(shape, tokenizer, work.seed)
    write_pretrained(folder, model, dict(model.state_dict()), tokenizer)


def samples(spec: dict[str, Any]) -> list[tuple[list[int], list[int], float]]:
    """Prompt ids, response ids and reward of each sample: the same for every rival."""
    generator = random.Random(spec["seed"] + 1)
    found = []
    for number in range(spec["samples"]):
        if number % GROUP == 0:
            length = generator.randint(spec["longest_prompt"] // 2, spec["longest_prompt"])
            prompt = [generator.randrange(300, VOCABULARY) for _ in range(length)]
        length = round(spec["longest_response"] * generator.uniform(0.25, 1))
        response = [generator.randrange(300, VOCABULARY) for _ in range(length)]
        found.append((prompt, response, generator.choice([1.0, -0.3, -0.6, -1.0])))
    return found
