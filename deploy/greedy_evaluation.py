"""The pass rate of a model folder: one greedy completion per problem, judged in a sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from curriculum.answer.assemble import assemble
from curriculum.problem import Problem
from curriculum.prompts.encode import PromptEncoder
from curriculum.subtask import FULL_TASK, cut
from deploy.config import RunConfig
from learner.models.published import load_tokenizer
from learner.tokenizer import completion_text, token_bytes
from sandbox import Job, Outcome, Sandbox


@torch.no_grad()
def greedy_pass_rate(
    folder: Path, problems: Sequence[Problem], config: RunConfig
) -> dict[str, float]:
    """Give the model each problem once, from the empty prefix; judge its greedy completion.

    A problem whose prompt leaves no room for a completion counts as not solved.

    Args:
        folder: Hugging Face folder of the model and its tokenizer.
        problems: to solve.
        config: of the sandbox, the prompt and the answer; `rollout.max_new_tokens` bounds a
            completion.

    Returns:
        `asked` and `solved` problems, and their ratio `pass_rate`.
    """
    tokenizer: Any = load_tokenizer(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder).eval()
    # Published settings may penalise repetitions, also of a greedy completion.
    ends = model.generation_config.eos_token_id
    model.generation_config = GenerationConfig(eos_token_id=ends or tokenizer.eos_token_id)
    table = token_bytes(tokenizer)
    encoder = PromptEncoder(tokenizer, table, config.prompt, config.answer)
    context_len = model.config.max_position_embeddings
    solved = 0
    with Sandbox(config.sandbox, run="sft") as sandbox:
        for problem in problems:
            subtask = cut(problem, FULL_TASK, frozenset())
            prompt = encoder.encode(subtask)
            max_new_tokens = min(config.rollout.max_new_tokens, context_len - len(prompt.ids))
            if max_new_tokens < 1:
                continue
            ids = torch.tensor([prompt.ids])
            generated = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=max_new_tokens,
                pad_token_id=tokenizer.eos_token_id,
            )
            completion = completion_text(generated[0, len(prompt.ids) :].tolist(), table)
            program = assemble(problem, prompt, completion, config.answer)
            job = Job.for_program(problem, program.source)
            solved += sandbox.run(job).outcome is Outcome.passed
    return {"asked": len(problems), "solved": solved, "pass_rate": solved / len(problems)}
