"""RunConfig: the configurations of all packages in one model."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from actors.config import (
    LoopConfig,
    PlacementConfig,
    RolloutConfig,
    SandboxPoolConfig,
    WeightsConfig,
)
from curriculum.config import AnswerConfig, CurriculumConfig, DataConfig, PromptConfig
from deploy.config.places import check_folder_name, check_url, is_url
from learner.config import LearnerConfig, ModelConfig, RewardConfig, SFTConfig
from sandbox.config import SandboxConfig


class RunConfig(BaseModel):
    """The whole configuration of a run. `stepcoder config --config PATH` prints it resolved."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str = Field(default="run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the run, of its folder below `runs_dir`, and of its label in the dashboards."""
    runs_dir: Path | str = Path("runs")
    """Folder of the run folders and of the cache of warm-started models, on a local disk or one
    that the nodes share; or the URL of an object store, such as `s3://bucket/runs`, to which
    `staging_dir` is uploaded."""
    staging_dir: Path = Path("runs")
    """What `runs_dir` is otherwise, where `runs_dir` is a URL: files are written here first."""
    seed: int = Field(default=0, ge=0, lt=2**30)
    """Seed of the schedule, the sampling and the learner (which adds its own `learner.seed`). The
    warm start has `sft.seed`, so that runs of several seeds share one."""
    model: ModelConfig = ModelConfig()
    """The policy to start from: a Hugging Face folder, or a small Llama that is warm-started."""
    data: DataConfig = DataConfig()
    """Training problems and held-out problems."""
    sft: SFTConfig = SFTConfig()
    """The warm start, used when `model.path` is not given."""
    curriculum: CurriculumConfig = CurriculumConfig()
    """The schedule of subtasks: CCCS and its alternatives."""
    prompt: PromptConfig = PromptConfig()
    """The prompt: one text for a base model, or a chat, by a template."""
    answer: AnswerConfig = AnswerConfig()
    """The program in a completion: which block, and what is reasoning."""
    rollout: RolloutConfig = RolloutConfig()
    """vLLM engines and sampling."""
    sandbox: SandboxConfig = SandboxConfig()
    """The sandbox that runs one program."""
    pool: SandboxPoolConfig = SandboxPoolConfig()
    """Number and placement of the sandboxes."""
    reward: RewardConfig = RewardConfig()
    """Reward of each outcome of a program."""
    learner: LearnerConfig = LearnerConfig()
    """PPO with execution masks."""
    weights: WeightsConfig = WeightsConfig()
    """The broadcast of weights from the learner to the engines."""
    loop: LoopConfig = LoopConfig()
    """Steps, evaluation and checkpoints."""
    placement: PlacementConfig = PlacementConfig()
    """Assignment of the roles to the cluster's resources."""

    @field_validator("runs_dir", mode="before")
    @classmethod
    def _a_folder_unless_it_is_a_url(cls, value: object) -> object:
        if not isinstance(value, (str, Path)):
            raise ValueError("must be a folder or a URL")
        return value if isinstance(value, str) and is_url(value) else Path(value)

    @model_validator(mode="after")
    def _files_go_where_they_are_found(self) -> RunConfig:
        if isinstance(self.runs_dir, str):
            check_url(self.runs_dir, "runs_dir")
        else:
            check_folder_name("runs_dir", self.runs_dir)
        check_folder_name("staging_dir", self.staging_dir)
        return self

    @model_validator(mode="after")
    def _chat_needs_a_chat_model(self) -> RunConfig:
        if self.prompt.style == "chat" and self.model.path is None:
            raise ValueError(
                "prompt.style chat needs model.path, the folder of an instruction-tuned model: the "
                "small Llama that is warm-started without it has no chat template"
            )
        return self

    @model_validator(mode="after")
    def _the_bundled_model_knows_one_template(self) -> RunConfig:
        template = self.prompt.template
        if self.model.path is None and template not in ("auto", "bare"):
            named = "Jinja text" if "{" in template else template
            raise ValueError(
                f"prompt.template {named} needs model.path: the small Llama that is warm-started "
                "without it is taught the bare questions only"
            )
        return self

    @model_validator(mode="after")
    def _other_problems_need_a_model(self) -> RunConfig:
        if self.data.kind != "synthetic" and self.model.path is None:
            raise ValueError(
                f"data.kind {self.data.kind} needs model.path: the model that is warm-started "
                "without it learns the synthetic problems only; `stepcoder sft` makes a model for "
                "your problems"
            )
        return self

    @model_validator(mode="after")
    def _colocated_roles_take_turns(self) -> RunConfig:
        if not self.placement.colocate:
            if self.weights.backend == "ipc" and self.placement.colocate is False:
                raise ValueError("weights.backend ipc needs placement.colocate: true")
            return self
        rules = {
            "rollout.workers must equal placement.learner_ranks": (
                self.rollout.workers == self.placement.learner_ranks
            ),
            "rollout.tensor_parallel must be 1": self.rollout.tensor_parallel == 1,
            "loop.max_staleness must be 0": self.loop.max_staleness == 0,
            "weights.backend cannot be nccl": self.weights.backend != "nccl",
        }
        if broken := [rule for rule, holds in rules.items() if not holds]:
            raise ValueError(f"placement.colocate: {'; '.join(broken)}")
        return self

    @model_validator(mode="after")
    def _stale_samples_are_weighted(self) -> RunConfig:
        if self.loop.max_staleness and self.learner.importance_cap is None:
            raise ValueError(
                f"loop.max_staleness {self.loop.max_staleness} needs learner.importance_cap, for "
                "example 2: without importance weights the update takes samples of older weights "
                "for its own"
            )
        return self

    @model_validator(mode="after")
    def _resampling_is_on_policy(self) -> RunConfig:
        if self.loop.resample_rounds and self.loop.max_staleness:
            raise ValueError(
                "loop.resample_rounds needs loop.max_staleness 0: with rounds under way, the order "
                "of their further prompts would depend on their timing"
            )
        return self

    @model_validator(mode="after")
    def _a_decay_follows_its_warm_up(self) -> RunConfig:
        schedule = self.learner.lr_schedule
        ends = schedule.updates if schedule.kind != "constant" else None
        if ends is not None and ends <= schedule.warmup_updates:
            raise ValueError(
                f"learner.lr_schedule: the decay ends at updates {ends}, before warmup_updates "
                f"{schedule.warmup_updates} are over: raise the one or lower the other"
            )
        return self

    @property
    def runs_url(self) -> str | None:
        """The object store of the run folders, if there is one."""
        return self.runs_dir if isinstance(self.runs_dir, str) else None

    @property
    def local_runs(self) -> Path:
        """Folder of the run folders on this machine."""
        return self.staging_dir if isinstance(self.runs_dir, str) else self.runs_dir

    def resolved_learner(self) -> LearnerConfig:
        """The learner's configuration with what it takes from other sections: the run's seed, the
        longest response, and the number of steps where a learning rate decays.
        """
        learner = self.learner
        schedule = learner.lr_schedule
        if schedule.kind != "constant" and schedule.updates is None:
            schedule = schedule.model_copy(update={"updates": max(1, self.loop.steps)})
        changes = {
            "seed": self.seed + learner.seed,
            "lr_schedule": schedule,
            "max_response_tokens": learner.max_response_tokens or self.rollout.max_new_tokens,
        }
        return learner.model_copy(update=changes)

    def learner_dtype(self, gpu: bool) -> Literal["float32", "bfloat16"]:
        """The learner's precision, where models run on GPUs or not."""
        dtype = self.learner.dtype
        if dtype == "auto":
            return "bfloat16" if gpu else "float32"
        return dtype

    def resolved_rollout(self, gpu: bool) -> RolloutConfig:
        """The engines' configuration, whose precision is the learner's unless it is given."""
        if self.rollout.dtype != "auto":
            return self.rollout
        return self.rollout.model_copy(update={"dtype": self.learner_dtype(gpu)})

    def exact(self, gpu: bool) -> bool:
        """Whether learner and engines compute in float32, so that their log-probabilities agree.

        Args:
            gpu: whether models run on GPUs.
        """
        precisions = {self.learner_dtype(gpu), self.resolved_rollout(gpu).dtype}
        return precisions | {self.learner.cpu_products} == {"float32"}

    def placed(self, placement: PlacementConfig) -> RunConfig:
        """This configuration in a placement whose `colocate` is decided.

        Raises:
            ValueError: it cannot run colocated; names the rules that it breaks.
        """
        changes = {**self.model_dump(), "placement": placement.model_dump()}
        return RunConfig.model_validate(changes)

    def weights_backend(self, gpu: bool) -> Literal["gloo", "nccl", "ipc"]:
        """The transport of the weight broadcast."""
        if self.weights.backend != "auto":
            return self.weights.backend
        if not gpu:
            return "gloo"
        return "ipc" if self.placement.colocate else "nccl"

    def digest(self) -> str:
        """Twelve hex digits that identify this configuration's content."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def to_yaml(self) -> str:
        """The whole resolved configuration."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)
