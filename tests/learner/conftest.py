"""A tiny random policy on disk, and its training on two ranks."""

from pathlib import Path

import pytest
import torch

from tests.learner.runs import (
    EXPORT_BUCKET_MIB,
    LORA,
    ONE_SAMPLE_A_STEP,
    ONE_STEP_AN_UPDATE,
    OTHER_OPTIONS,
    UPDATES,
    VARIANTS,
    run_ranks,
    settings,
)
from tests.learner.samples import CORPUS


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two blocks with weights large enough that its predictions differ from uniform."""
    from learner.config import ModelConfig
    from learner.models.networks import create_llama
    from learner.tokenizer import train_tokenizer
    from learner.zero.export import write_pretrained

    tokenizer = train_tokenizer((q + s for q, s in CORPUS), 300)
    config = ModelConfig(hidden_size=32, layers=2, heads=2, intermediate_size=48)
    model = create_llama(config, tokenizer, seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8)
    folder = tmp_path_factory.mktemp("policy") / "model"
    write_pretrained(folder, model, model.state_dict(), tokenizer)
    return folder


@pytest.fixture(scope="session")
def two_ranks(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """Weights and metrics after two updates on two real ranks, by name of the run.

    One pair of processes does all runs: starting it takes longer than a run.
    """
    stages = {
        f"stage-{n}": {"zero": {"stage": n, "export_bucket_mib": EXPORT_BUCKET_MIB}}
        for n in range(4)
    }
    changes = {
        **stages,
        **{f"lora-{name}": {**change, "lora": LORA} for name, change in stages.items()},
        **{name: VARIANTS[name] for name in OTHER_OPTIONS},
        "one sample a step": ONE_SAMPLE_A_STEP,
        "one step an update": ONE_STEP_AN_UPDATE,
    }
    runs = [
        {"name": name, "config": settings(**change), "updates": UPDATES}
        for name, change in changes.items()
    ]
    return run_ranks(tmp_path_factory.mktemp("two-ranks"), model_dir, 2, runs)
