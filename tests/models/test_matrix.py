"""Every family through SFT, three RL steps with CCCS and FGO, broadcast, export and vLLM.

CI takes two of them; `make model-matrix` takes all and writes the table of docs/models.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from actors.recording.rollout_file import read_rollouts, recorded_steps
from actors.runs.folder import RunFolder
from curriculum import write_problems
from curriculum.problem import Problem
from curriculum.prompts.encode import PromptEncoder
from curriculum.subtask import FULL_TASK, cut
from deploy.config import RunConfig
from deploy.train import train
from learner.config import ModelConfig, OptimizerConfig, SFTConfig
from learner.models.published import CODE, leading_ids, load_tokenizer
from learner.sft import sft
from learner.tokenizer import token_bytes
from learner.zero.consolidated import read_policy
from sandbox import Job, Sandbox
from tests.learner.mask_cases import Case
from tests.learner.test_mask import reference_mask
from tests.models.families import FAMILIES, Family, make
from tests.published import needs_models

ROOT = Path(__file__).resolve().parents[2]
WHOLE = bool(os.environ.get("STEPCODER_MATRIX"))
TAKEN = FAMILIES
SFT_STEPS = {False: 40, True: 90}
"""By whether the head is tied: such a model learns its three answers more slowly."""
AGREES = 1e-4
"""Largest difference of log-probabilities in float32 [nats]."""

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    needs_models,
    # It starts a Ray cluster of its own for each family, which the suite's other clusters disturb.
    pytest.mark.skipif(not WHOLE, reason="takes minutes a family: `make model-matrix` runs it"),
]


def easy_problem(number: int) -> Problem:
    """One that a tiny model learns by heart; its tests never take the first branch."""
    return Problem.model_validate(
        {
            "id": f"add-{number}",
            "question": f"# add {number}",
            "solution": f"def f(a):\n    if a > 99:\n        return 0\n    return a + {number}\n",
            "fn_name": "f",
            "tests": [{"input": [a], "output": a + number} for a in (1, 2)],
        }
    )


def config_of(family: Family, model: Path, folder: Path) -> RunConfig:
    prompt: dict[str, Any] = {"style": "base", "template": "bare"}
    if family.chat:
        prompt = {"style": "chat", "chat_arguments": {"enable_thinking": False}}
    return RunConfig.model_validate(
        {
            "name": "run",
            "runs_dir": str(folder / "runs"),
            "model": {"path": str(model)},
            "data": {
                "kind": "jsonl",
                "train_path": str(folder / "train.jsonl"),
                "heldout_path": str(folder / "heldout.jsonl"),
            },
            "prompt": prompt,
            "rollout": {"samples_per_prompt": 4, "max_new_tokens": 48, "kv_cache_mib": 64},
            "sandbox": {"backend": "process"},
            "learner": {
                "policy": {"lr": 1e-4},
                "critic_layers": 1,
                "minibatch_size": 8,
                "logprob_chunk": 128,
                "logprob_diff_alarm": "raise",
                "logprob_diff_limit": AGREES,
            },
            "weights": {"verify_tolerance": AGREES},
            "loop": {
                "steps": 3,
                "prompts_per_step": 2,
                "eval_samples": 1,
                "verify_every": 1,
                "record": "all",
            },
            "placement": {"min_free_memory_gib": 1.0},
        }
    )


def pairs(problems: list[Problem], config: RunConfig, tokenizer: Any) -> list[tuple[str, str]]:
    """What RL asks for the whole task, and the answer to it."""
    encode = PromptEncoder(tokenizer, token_bytes(tokenizer), config.prompt).encode
    answer = "```python\n{}\n```" if config.prompt.style == "chat" else "{}"
    asked = [(encode(cut(problem, FULL_TASK, frozenset())).text, problem) for problem in problems]
    return [(text, answer.format(problem.solution)) for text, problem in asked]


def logprobs(folder: Path, sequences: list[list[int]]) -> list[list[float]]:
    """By transformers, from whole logits, in float64 from there."""
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        logits = [model(torch.tensor([ids])).logits[0, :-1].double() for ids in sequences]
    return [
        rows.log_softmax(-1).gather(-1, torch.tensor(ids)[1:, None])[:, 0].tolist()
        for rows, ids in zip(logits, sequences, strict=True)
    ]


def largest(a: list[list[float]], b: list[list[float]]) -> float:
    return max(abs(x - y) for p, q in zip(a, b, strict=True) for x, y in zip(p, q, strict=True))


def check_masks(run: RunFolder, problems: list[Problem], config: RunConfig) -> tuple[int, int]:
    """Compare every recorded mask with the slow reference, on a sandbox run of its own.

    Returns:
        Masks compared, and tokens masked.
    """
    by_id = {problem.id: problem for problem in problems}
    rows = [
        {**group, **sample}
        for path in recorded_steps(run.rollouts)
        for group in read_rollouts(path)
        for sample in group["samples"]
    ]
    compared = masked = 0
    with Sandbox(config.sandbox, run="matrix") as sandbox:
        for row in rows:
            begin, end = row["program_bytes"]
            part = row["completion"].encode()[begin:end]
            source = row["prefix"].encode() + part
            verdict = sandbox.run(Job.for_program(by_id[row["problem"]], source.decode()))
            assert verdict.outcome.value == row["outcome"]
            start = len(row["prefix"].encode())
            lengths, at = [], -begin
            outside = []
            for length in row["token_bytes"]:
                inside = max(0, min(at + length, end - begin) - max(at, 0))
                outside.append(inside == 0)
                lengths.append(inside)
                at += length
            case = Case(source, start, tuple(verdict.statements), tuple(lengths), (), ())
            expected = [o or m for o, m in zip(outside, reference_mask(case), strict=True)]
            assert row["executed_mask"] == "".join(str(int(flag)) for flag in expected), row
            compared += 1
            masked += expected.count(False)
    return compared, masked


@pytest.mark.parametrize("family", TAKEN, ids=lambda family: family.name)
def test_a_family_is_trained_exported_and_reloaded(family: Family, tmp_path: Path) -> None:
    model = make(family, tmp_path / "random")
    tokenizer: Any = load_tokenizer(model)
    config = config_of(family, tmp_path / "warm", tmp_path)
    problems = [easy_problem(number) for number in (3, 5, 7)]
    write_problems(tmp_path / "train.jsonl", problems[:2])
    write_problems(tmp_path / "heldout.jsonl", problems[2:])
    torch.set_num_threads(1)
    warm = sft(
        pairs(problems, config, tokenizer),
        SFTConfig(
            steps=SFT_STEPS["tie_word_embeddings" in family.settings],
            batch_size=3,
            optimizer=OptimizerConfig(lr=1e-2),
            warmup_steps=3,
            logprob_chunk=128,
            mixed_precision=False,
        ),
        ModelConfig(path=str(model)),
        tmp_path / "warm",
        lambda _row: None,
    )
    result = train(config)
    run = RunFolder(tmp_path / "runs" / "run")
    rows = run.step_rows()
    trainer = max(row["learner/rollout_trainer_logprob_diff"] for row in rows)
    compared, masked = check_masks(run, problems, config)

    exported = tmp_path / "exported"
    checkpoint = run.latest()
    assert checkpoint is not None
    read_policy(checkpoint / "learner").write(exported)
    for file in sorted(run.policy.glob("*.safetensors")):
        assert (exported / file.name).read_bytes() == file.read_bytes()
    outside: Any = AutoTokenizer.from_pretrained(exported)
    for text in (CODE, "", *(text for pair in pairs(problems, config, tokenizer) for text in pair)):
        assert outside.encode(text) == tokenizer.encode(text)
    ends = json.loads((exported / "generation_config.json").read_text())["eos_token_id"]
    assert len(ends) == 2

    begin = list(leading_ids(tokenizer))
    sequences = [begin + tokenizer.encode(a + b, add_special_tokens=False)
                 for a, b in pairs(problems, config, tokenizer)]  # fmt: skip
    asked, answered = tmp_path / "asked.json", tmp_path / "answered.json"
    asked.write_text(json.dumps(sequences))
    environment = {
        **os.environ, "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "HF_HUB_OFFLINE": "1",
        "TORCHDYNAMO_DISABLE": "1", "OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_WAIT_POLICY": "passive",
    }  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-m", "tests.models.reload", str(exported), str(asked), str(answered)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]
    answer = json.loads(answered.read_text())
    reloaded = largest(answer["logprobs"], logprobs(exported, sequences))
    assert answer["ids"] == tokenizer.encode("def f(x):\n    return x")

    parity = result["weights"]["max_logprob_diff"]
    assert max(trainer, parity, reloaded) <= AGREES
    assert compared > 0
    assert masked > 0
    figures = [
        family.name, family.special, f"{warm['loss']:.3f}", f"{parity:.1e}", f"{trainer:.1e}",
        f"{reloaded:.1e}", f"{compared} ({masked} tokens masked)",
    ]  # fmt: skip
    print(f"| {' | '.join(figures)} |")
    if table := os.environ.get("STEPCODER_MATRIX"):
        with Path(table).open("a") as file:
            file.write(f"| {' | '.join(figures)} |\n")
