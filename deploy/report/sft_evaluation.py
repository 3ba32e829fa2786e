"""How many held-out problems a model solves: greedy completions, judged in the sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from curriculum.problem import Problem
from curriculum.program import assemble
from curriculum.prompt import PromptEncoder
from curriculum.subtask import FULL_TASK, cut
from deploy.config import RunConfig
from learner.tokenizer import completion_text, token_bytes
from sandbox import Job, Outcome, Sandbox


@torch.no_grad()
def solve(folder: Path, problems: Sequence[Problem], config: RunConfig) -> dict[str, float]:
    """Ask each problem once, whole, without sampling; the share whose tests all pass.

    Args:
        folder: of the model, with its tokenizer.
        problems: to solve.
        config: its sandbox, and `rollout.max_new_tokens`.

    Returns:
        pass_rate and solved, of `asked` problems.
    """
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder).eval()
    table = token_bytes(tokenizer)
    encoder = PromptEncoder(tokenizer, table, config.prompt)
    longest = model.config.max_position_embeddings
    solved = 0
    with Sandbox(config.sandbox, run="sft") as sandbox:
        for problem in problems:
            subtask = cut(problem, FULL_TASK, frozenset())
            prompt = encoder.encode(subtask)
            room = min(config.rollout.max_new_tokens, longest - len(prompt.ids))
            if room < 1:
                continue
            ids = torch.tensor([prompt.ids])
            found = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=room,
                pad_token_id=tokenizer.eos_token_id,
            )
            text = completion_text(found[0, len(prompt.ids) :].tolist(), table)
            job = Job.for_program(problem, assemble(problem, prompt, text).source)
            solved += sandbox.run(job).outcome is Outcome.passed
    return {"asked": len(problems), "solved": solved, "pass_rate": solved / len(problems)}
