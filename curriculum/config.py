"""Settings of the data and of the curriculum."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from curriculum.problem import Tier
from curriculum.start_points import START_POINT_KINDS, StartPointKind


class CurriculumConfig(BaseModel):
    """How subtasks are chosen (StepCoder, section 3.1 and Algorithm 1)."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    mode: Literal["cccs", "none", "linear", "adaptive", "drawn", "unguided"] = "cccs"
    """cccs: start near the end of each solution and move to its beginning; none: whole tasks only;
    linear: a shorter prefix with every visit; adaptive: as long a prefix as each problem needs;
    drawn: a prefix drawn from an interval that each problem's successes and failures narrow;
    unguided: whole tasks, and a prefix in a further visit only where every program failed."""
    alpha: float = Field(default=0.7, gt=0, le=1)
    """Weight of the newest visit in a problem's moving average of pass rates."""
    threshold: float = Field(default=0.5, ge=0, lt=1)
    """The paper's rho: a problem whose average rises above it moves to the next stage. Mode
    `drawn`: pass rate of a visit above which it is a success."""
    start_point_kinds: tuple[StartPointKind, ...] = START_POINT_KINDS
    """Statements that count as start points of `cccs`; other modes cut before any statement."""
    fade_by: float | None = Field(default=None, gt=0, le=1)
    """In every mode: share of the run's steps after which no prefix is given. Until then the
    longest allowed one shrinks along half a cosine from the whole solution (UFT); null: no fade."""
    prefixes_from: Literal["canonical", "policy"] = "canonical"
    """What prefixes are cut from. policy: a program of the policy's own that passed, as soon as a
    problem has one, and before that the canonical solution, if there is one (PrefixRL)."""
    linear_visits: int = Field(default=20, gt=0)
    """Mode `linear`: visits of a problem after which it is asked whole."""
    full_task_share: float = Field(default=0.25, ge=0, le=1)
    """Mode `adaptive`: share of the visits that ask the whole task, whatever the stage."""
    floor: float = Field(default=0.1, ge=0, lt=1)
    """Mode `adaptive`: a problem whose average is at or below it gets a longer prefix."""
    longest_rest: int | None = Field(default=None, ge=0)
    """In every mode: most times in a row that a problem is left out which every program solves
    without a prefix; in mode `adaptive` also one that none solves with the longest. 0 leaves none
    out; null is 8 in mode `adaptive` and 0 in the others."""
    tier_weights: dict[Tier, float] = Field(default_factory=dict[Tier, float])
    """How often each tier's problems come, relative to the others; above 0, and 1 where not named.
    Every problem comes at least once in an epoch."""

    @model_validator(mode="after")
    def _weights_are_positive(self) -> "CurriculumConfig":
        for tier, weight in self.tier_weights.items():
            if not 0 < weight < float("inf"):
                raise ValueError(f"tier_weights.{tier} must be above 0, not {weight}")
        if self.floor > self.threshold:
            raise ValueError(f"floor {self.floor} must not be above threshold {self.threshold}")
        return self

    @property
    def rest_limit(self) -> int:
        """`longest_rest`, with the default of the mode."""
        default = 8 if self.mode == "adaptive" else 0
        return default if self.longest_rest is None else self.longest_rest

    @property
    def cut_kinds(self) -> frozenset[str]:
        """The kinds at which solutions are cut: none at all in mode `none`."""
        return frozenset() if self.mode == "none" else frozenset(self.start_point_kinds)


class PromptConfig(BaseModel):
    """The form of the prompts (`curriculum.prompts`)."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    style: Literal["base", "chat"] = "base"
    """base: the model continues question and prefix as one text; chat: the question is the user's
    turn and the prefix the beginning of the assistant's, by the tokenizer's chat template."""
    template: str = Field(default="auto", min_length=1)
    """The prompt's text: a shipped template (apps, bare, humaneval, leetcode, mbpp, plain), a Jinja
    file's path, or Jinja text; auto chooses a shipped one by each problem's `source`."""
    show_tests: int | None = Field(default=None, ge=0)
    """Tests that the prompt of a function shows, whatever its question shows. Null: by convention,
    which is one where the question shows none; with template mbpp three, as a chat one; with
    humaneval none."""
    system: str = ""
    """Style `chat`: the system's turn; where empty, the template's own or none."""
    chat_arguments: dict[str, Any] = Field(default_factory=dict[str, Any])
    """Style `chat`: arguments of the tokenizer's chat template, such as
    {enable_thinking: false}."""

    @field_validator("chat_arguments")
    @classmethod
    def _check_names(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        for name in arguments:
            if not name.isidentifier():
                raise ValueError(
                    f"{name!r} is no name of an argument; write a space behind each colon, as in "
                    "{enable_thinking: false}"
                )
        return arguments


class DataConfig(BaseModel):
    """Where problems come from."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    kind: Literal["synthetic", "jsonl"] = "synthetic"
    """synthetic: the bundled generator; jsonl: StepCoder's own files. `stepcoder data convert`
    makes such a file from every format that its `--help` lists."""
    train_path: Path | None = None
    """File of training problems; required by kind jsonl."""
    heldout_path: Path | None = None
    """File of problems for evaluation only; required by kind jsonl."""
    too_long: Literal["drop", "refuse"] = "drop"
    """Problems whose prompt leaves less than `rollout.min_new_tokens` of `rollout.max_model_len`:
    drop leaves them out of training and evaluation, named and counted; refuse ends the run."""
    untrusted_tests: Literal["leave_out", "train"] = "leave_out"
    """Training problems whose tests are code, which a program could forge: left out of training, or
    trained on. Evaluation uses such problems in either case."""
    train_per_tier: int = Field(default=20, gt=0)
    """Synthetic training problems in each tier."""
    heldout_per_tier: int = Field(default=100, gt=0)
    """Synthetic held-out problems in each tier."""
    train_seed: int = 1
    """Seed of the synthetic training problems."""
    heldout_seed: int = 2
    """Seed of the synthetic held-out problems, which do not depend on the training set."""
    corpus_size: int = Field(default=20_000, gt=0)
    """Pairs of question and noisy solution for the warm start (kind synthetic only)."""
    corpus_seed: int = 0
    """Seed of that corpus."""

    @field_validator("kind", mode="before")
    @classmethod
    def _other_data_sets_are_converted_first(cls, kind: object) -> object:
        if isinstance(kind, str) and kind not in ("synthetic", "jsonl"):
            raise ValueError(
                f"must be synthetic or jsonl, not {kind!r}: convert a data set of another format "
                "with `stepcoder data convert SOURCE -o problems.jsonl` and set kind to jsonl"
            )
        return kind

    @model_validator(mode="after")
    def _paths_fit_the_kind(self) -> "DataConfig":
        for name in ("train_path", "heldout_path"):
            is_set = getattr(self, name) is not None
            if self.kind == "synthetic" and is_set:
                raise ValueError(
                    f"{name} is not read when kind is 'synthetic'; set data.kind to jsonl"
                )
            if self.kind != "synthetic" and not is_set:
                raise ValueError(f"kind {self.kind!r} needs {name}")
        return self


class AnswerConfig(BaseModel):
    """How the program is found in an answer (`curriculum.answer`)."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    block: Literal["last", "first"] = "last"
    """Which of several blocks that are whole programs is the answer."""
    reasoning: tuple[tuple[str, str], ...] = ()
    """Markers between which a model reasons, beside the known ones such as `<think>` and
    `</think>`; what they enclose is never the answer."""

    @field_validator("reasoning")
    @classmethod
    def _markers_are_text(cls, pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        for opening, closing in pairs:
            if not opening.strip() or not closing.strip() or opening == closing:
                raise ValueError(
                    f"{[opening, closing]} must be two different markers, none of them blank"
                )
        return pairs
