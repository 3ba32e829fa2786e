"""Log-probabilities by vLLM of a model folder, with the folder's own tokenizer.

Usage: python -m tests.models.reload FOLDER SEQUENCES.json OUT.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main(folder: str, sequences: str, out: str) -> None:
    from vllm import LLM, SamplingParams
    from vllm.inputs import TokensPrompt

    from actors.weights.vllm_extension import EXTENSION

    engine = LLM(
        folder, dtype="float32", enforce_eager=True, max_model_len=512, block_size=32,
        kv_cache_memory_bytes=64 << 20, enable_chunked_prefill=False, max_num_batched_tokens=2048,
        worker_extension_cls=EXTENSION,
    )  # fmt: skip
    every = json.loads(Path(sequences).read_text())
    prompts = [TokensPrompt(prompt_token_ids=ids) for ids in every]
    answers: Any = engine.generate(
        prompts, SamplingParams(max_tokens=1, prompt_logprobs=0, temperature=1.0), use_tqdm=False
    )
    logprobs = [
        [
            position[token].logprob
            for position, token in zip(answer.prompt_logprobs[1:], ids[1:], strict=True)
        ]
        for answer, ids in zip(answers, every, strict=True)
    ]
    ids = engine.get_tokenizer().encode("def f(x):\n    return x", add_special_tokens=True)
    Path(out).write_text(json.dumps({"logprobs": logprobs, "ids": ids}))


if __name__ == "__main__":
    main(*sys.argv[1:])
