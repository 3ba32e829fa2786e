"""Prompts before a run: every one is encoded, and what does not fit is left out and named."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import curriculum
from curriculum.datasets.load import DataSet
from curriculum.errors import UnusableData
from curriculum.files import write_atomic
from curriculum.problem import Problem
from curriculum.prompts.encode import PromptEncoder
from curriculum.prompts.fit import Fit, by_tier, fit, named, prompt_lengths, unnamed_message
from curriculum.schedule.make import stage_offsets
from deploy.config import RunConfig
from deploy.errors import ConfigError
from deploy.evaluation.suites import Suite
from deploy.progress import StageProgress

logger = logging.getLogger(__name__)

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)
"""What a prompt's tokens depend on, of a model folder."""


@dataclass(frozen=True)
class PromptFit:
    """What a run asks, and what it leaves out because its prompts do not fit."""

    train: Fit
    """Training problems, at every stage."""
    heldout: Fit
    """Held-out problems, whole."""
    unnamed: tuple[str, ...]
    """Ids of the problems whose prompt names no function."""
    longest: int
    """Tokens that a prompt may have."""
    suites: Mapping[str, Fit] = field(default_factory=dict[str, Fit])
    """The problems of `loop.eval_suites`, whole, by suite."""

    @property
    def dataset(self) -> DataSet:
        """The problems that are left."""
        return DataSet(self.train.problems, self.heldout.problems)

    def left_out(self) -> dict[str, Any]:
        """What `result.json` says of it: every problem and stage that is left out."""
        return {
            "longest_prompt": self.longest,
            "train": [asdict(problem) for problem in self.train.too_long],
            "heldout": [asdict(problem) for problem in self.heldout.too_long],
            "suites": {
                name: [asdict(problem) for problem in part.too_long]
                for name, part in self.suites.items()
            },
            "stages_kept": self.train.stage_limits,
            "names_no_function": list(self.unnamed),
        }

    def log(self) -> None:
        """Say what is left out, and what cannot be answered; nothing where all is well."""
        uses = {"training": self.train, "evaluation": self.heldout, **self.suites}
        for use, part in uses.items():
            if part.too_long:
                logger.warning("left out of %s: %s", use, _said(part, self.longest))
        if limits := self.train.stage_limits:
            logger.warning(
                "%d problems begin their curriculum at a shorter prefix, because their longest "
                "prompts have more than %d tokens: %s",
                len(limits), self.longest, named(list(limits)),
            )  # fmt: skip
        if self.unnamed:
            logger.warning(unnamed_message(self.unnamed))


def fit_prompts(
    config: RunConfig, dataset: DataSet, model_dir: Path, suites: Sequence[Suite] = ()
) -> PromptFit:
    """Encode the prompt of every problem at every stage, and divide the problems.

    Lengths are kept below `cache` beside the run folders, by a digest of data, tokenizer, templates
    and this package, so that the next run of the same prompts does not encode them again.

    Args:
        config: the whole run.
        dataset: all its problems.
        model_dir: holds the tokenizer.
        suites: what is evaluated beside the held-out problems.

    Raises:
        ConfigError: the tokenizer cannot be read.
        CurriculumError: a prompt cannot be made; a prompt does not fit and `data.too_long` is
            `refuse`; or no problem is left to train on or to evaluate.
    """
    encoder = load_encoder(config, model_dir)
    lengths = _lengths(config, dataset, model_dir, encoder)
    longest = config.rollout.longest_prompt
    train = fit(dataset.train, lengths, longest)
    heldout = fit(dataset.heldout, lengths, longest)
    of_suites = {
        suite.name: fit(
            suite.problems, {p.id: prompt_lengths(encoder, p) for p in suite.problems}, longest
        )
        for suite in suites
    }
    for use, part in {"training": train, "evaluation": heldout, **of_suites}.items():
        if part.too_long and config.data.too_long == "refuse":
            raise UnusableData(
                f"{use}: {_said(part, longest)}; raise rollout.max_model_len, or set data.too_long "
                f"to drop, which leaves them out"
            )
        if not part.problems:
            raise UnusableData(
                f"{use}: no problem is left: {_said(part, longest)}; raise rollout.max_model_len"
            )
    # The warm start teaches the bundled model the very prompts that it is asked.
    parts = (train, heldout, *of_suites.values())
    asked = [] if config.model.path is None else [p for part in parts for p in part.problems]
    unnamed = [p.id for p in asked if not encoder.renderer.names_function(p)]
    return PromptFit(train, heldout, tuple(unnamed), longest, of_suites)


def load_encoder(config: RunConfig, model_dir: Path) -> PromptEncoder:
    """The encoder of a run, with the tokenizer of a model folder.

    Raises:
        ConfigError: the tokenizer cannot be read.
        CurriculumError: tokenizer or template cannot do what the style needs.
    """
    from learner.errors import ModelError
    from learner.models.published import load_tokenizer
    from learner.tokenizer import token_bytes

    try:
        tokenizer = load_tokenizer(model_dir, config.model.trust_remote_code)
        table = token_bytes(tokenizer)
    except ModelError as error:
        raise ConfigError(str(error)) from error
    return PromptEncoder(tokenizer, table, config.prompt, config.answer)


def _lengths(
    config: RunConfig, dataset: DataSet, model_dir: Path, encoder: PromptEncoder
) -> Mapping[str, Sequence[int]]:
    """`prompt_lengths` of every problem by id, from the cache where it has them."""
    cache = config.local_runs.absolute() / "cache"
    path = cache / f"prompts-{_digest(config, model_dir)}.json"
    ids = {problem.id for problem in (*dataset.train, *dataset.heldout)}
    try:
        cached: dict[str, list[int]] = json.loads(path.read_text(encoding="utf-8"))
        if cached.keys() == ids:
            return cached
    except (OSError, ValueError):
        pass
    lengths = dict(_encoded(config, dataset, encoder))
    cache.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(lengths))
    return lengths


def _encoded(
    config: RunConfig, dataset: DataSet, encoder: PromptEncoder
) -> Iterator[tuple[str, tuple[int, ...]]]:
    with StageProgress() as progress:
        progress.begin("prompts", len(dataset.train) + len(dataset.heldout))
        for problem, trained in _asked(dataset):
            offsets = stage_offsets(problem, config.curriculum) if trained else ()
            yield problem.id, prompt_lengths(encoder, problem, offsets)
            progress.step()


def _asked(dataset: DataSet) -> Iterator[tuple[Problem, bool]]:
    yield from ((problem, True) for problem in dataset.train)
    yield from ((problem, False) for problem in dataset.heldout)


def _digest(config: RunConfig, model_dir: Path) -> str:
    """Sixteen hex digits of everything that the lengths depend on."""
    digest = hashlib.sha256()
    sections = (config.data, config.prompt, config.curriculum)
    for section in sections:
        digest.update(json.dumps(section.model_dump(mode="json"), sort_keys=True).encode())
    package = Path(curriculum.__file__).parent
    files = sorted(path for ending in ("py", "jinja") for path in package.rglob(f"*.{ending}"))
    files += [model_dir / name for name in TOKENIZER_FILES]
    files += [path for path in (config.data.train_path, config.data.heldout_path) if path]
    template = Path(config.prompt.template)
    if len(config.prompt.template) < 256 and template.is_file():
        files.append(template)
    for path in files:
        if path.is_file():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def _said(part: Fit, longest: int) -> str:
    """Which problems are too long, by tier and name."""
    problems = part.too_long
    names = [f"{problem.problem_id} ({problem.tokens})" for problem in problems]
    return (
        f"{len(problems)} problems ({by_tier([p.tier for p in problems])}) whose prompt has more "
        f"than {longest} tokens (rollout.max_model_len less rollout.min_new_tokens): "
        f"{named(names)}"
    )
