"""`evaluate`: from the options to the finished folder of an evaluation."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from actors.evaluation.evaluator import Evaluator, Generation, Sampling, Task
from actors.evaluation.records import GeneratedSample, SampleKey, SampleVerdict
from actors.evaluation.sample_log import SampleLog
from curriculum.config import AnswerConfig
from curriculum.files import write_atomic
from curriculum.prompts.encode import PromptEncoder
from curriculum.subtask import FULL_TASK, cut
from deploy.config import RunConfig
from deploy.errors import ConfigError
from deploy.evaluation.engines import EvaluationActors, evaluation_actors
from deploy.evaluation.folder import EvaluationFolder
from deploy.evaluation.options import Options
from deploy.evaluation.provenance import Provenance, SuitePrompts
from deploy.evaluation.result import write_result
from deploy.evaluation.sample_file import read_samples
from deploy.evaluation.settings import EvaluationSettings, evaluation_config
from deploy.evaluation.subject import CANONICAL, Subject
from deploy.evaluation.suites import Suite, file_sha256, file_stem, load_suites, task_id
from deploy.progress import StageProgress
from learner.models.published import load_tokenizer
from learner.tokenizer import token_bytes

logger = logging.getLogger(__name__)


def evaluate(
    options: Options, subject: Subject, profile: Path | None, overrides: Sequence[str]
) -> EvaluationFolder:
    """Generate and judge every sample, and write the figures.

    An exception that ends it carries a note (`__notes__`) on how to continue.

    Args:
        options: what to evaluate and how.
        subject: the model, or what stands for it.
        profile: of the configuration; None for the defaults.
        overrides: single keys of the configuration, `--key=value`.

    Raises:
        ConfigError: an option, the configuration or the folder does not allow it.
        CurriculumError: a suite or a file of samples cannot be read.
        RunFailed: Ray did not start, or an actor failed; the message names it.
        TimeoutError: an actor did not answer in time; the message names it.
    """
    tokenizer = load_tokenizer(subject.folder) if subject.folder else None
    has_chat_template = bool(getattr(tokenizer, "chat_template", None))
    config = evaluation_config(profile, overrides, subject, options.dtype, has_chat_template)
    suites = load_suites(options.suites, options.limit, config.data, reading=options.reading)
    for suite in suites:
        for field, (count, example) in suite.data["left_out"].items():
            logger.warning("%s: left out %d for %s: %s", suite.name, count, field, example)
    settings = _settings(options, subject, config, suites)
    folder = EvaluationFolder(options.out or _default_out(config, subject, options, suites))
    if options.overwrite and options.judge and _lies_in(options.judge, folder.root):
        raise ConfigError(
            f"--judge {options.judge}: --overwrite removes it, as it lies in {folder.root}; choose "
            f"another --out"
        )
    existing = _existing_samples(options, subject, suites, config.answer)
    if settings.sampling is None:
        _require_enough(existing, max(options.ks))
    if options.resume:
        settings.require_same(folder.settings)
    with folder.sole_writer():
        if not options.resume:
            folder.begin(options.overwrite)
            settings.write(folder.settings)
            write_atomic(folder.config, config.to_yaml())
        log = SampleLog(folder.root)
        for sample in existing:
            if sample.key not in log.samples:
                log.add_sample(sample)
        work = _Work(options, settings.sampling, suites, log, config, subject, tokenizer)
        folder.write_tasks(suites, work.prompt_texts)
        provenance = Provenance(
            settings=settings,
            chat_template=_template_text(tokenizer) if config.prompt.style == "chat" else None,
            prompts=work.prompts,
            prompts_without_room=work.prompts_without_room,
            processes=folder.processes,
        )
        with _note_on_continuing(folder):
            work.run(folder, provenance)
        if not options.generate_only:
            write_result(folder, log, suites, options.ks, provenance)
    return folder


class _Work:
    """The samples that are missing, and the actors that make them."""

    def __init__(
        self,
        options: Options,
        sampling: Sampling | None,
        suites: Sequence[Suite],
        log: SampleLog,
        config: RunConfig,
        subject: Subject,
        tokenizer: Any,
    ) -> None:
        self._judges = not options.generate_only
        self._sampling = sampling
        self._log = log
        self._config = config
        self._model_dir = subject.folder
        self._tokenizer = tokenizer
        self._tasks: list[Task] = []
        self._total = len(log.samples)
        self.prompts: dict[str, SuitePrompts] = {}
        """By suite."""
        self.prompts_without_room = 0
        """Prompts that leave no room for a completion."""
        if sampling is not None:
            table = token_bytes(tokenizer)
            encoder = PromptEncoder(tokenizer, table, config.prompt, config.answer)
            self._tasks = list(_tasks(suites, encoder))
            self._total = len(self._tasks) * sampling.samples
            self.prompts = {
                suite.name: _prompts_of(suite, self._tasks, encoder) for suite in suites
            }
            lengths = [len(task.prompt.ids) for task in self._tasks]
            needed = max(16, max(lengths) + sampling.max_new_tokens)
            context_len = min(needed, subject.context_len())
            self.prompts_without_room = sum(length >= context_len for length in lengths)
            update = {"max_model_len": context_len}
            self._config = config.model_copy(
                update={"rollout": config.rollout.model_copy(update=update)}
            )
        self._problems = {
            (suite.name, problem.id): problem for suite in suites for problem in suite.problems
        }

    @property
    def prompt_texts(self) -> dict[tuple[str, str], tuple[str, str]]:
        """Text and prefix by suite and problem; none where no model generates."""
        return {
            (task.suite, task.problem.id): (task.prompt.text, task.prompt.prefix)
            for task in self._tasks
        }

    def run(self, folder: EvaluationFolder, provenance: Provenance) -> None:
        """Generate and judge what is missing; nothing is started where nothing is."""
        generates = len(self._log.samples) < self._total
        judges = self._judges and (generates or bool(self._log.unjudged))
        if not generates and not judges:
            return
        with evaluation_actors(self._config, generates, judges, folder.log) as actors:
            asyncio.run(self._run(actors, provenance))

    async def _run(self, actors: EvaluationActors, provenance: Provenance) -> None:
        started = time.monotonic()
        try:
            deadline_s = self._config.rollout.start_timeout_s
            await actors.start(self._model_dir, self._tokenizer, deadline_s)
            provenance.add_process(actors.dtype, actors.versions)
            provenance.seconds["start"] = time.monotonic() - started
            began = time.monotonic()
            provenance.generation = await self._evaluate(actors)
            provenance.seconds["evaluate"] = time.monotonic() - began
        finally:
            await actors.stop()

    async def _evaluate(self, actors: EvaluationActors) -> Generation:
        collectors, pool, config = actors.collectors, actors.pool, self._config
        done = len(self._log.verdicts) if pool else len(self._log.samples)
        if done:
            logger.info("%d of %d samples were done before", done, self._total)
        with StageProgress() as progress:
            progress.begin("evaluating" if pool else "generating", self._total, done)

            judged = len(self._log.verdicts)
            passed = sum(verdict.passed for verdict in self._log.verdicts.values())

            def on_sample(verdict: SampleVerdict | None) -> None:
                nonlocal judged, passed
                if verdict is None:
                    return progress.step()
                judged, passed = judged + 1, passed + verdict.passed
                return progress.step(f"{passed / judged:.1%} passed")

            evaluator = Evaluator(
                self._log, self._problems, config.sandbox.limits, on_sample, config.answer
            )
            if actors.fleet is not None and collectors is not None:
                assert self._sampling is not None
                async with actors.fleet.heartbeat(), collectors.heartbeat():
                    await evaluator.generate(
                        self._tasks,
                        self._sampling,
                        collectors,
                        config.rollout.max_model_len,
                        pool,
                    )
            elif pool is not None:
                await evaluator.judge(pool)
        return evaluator.generation


def _settings(
    options: Options, subject: Subject, config: RunConfig, suites: Sequence[Suite]
) -> EvaluationSettings:
    generates = subject.folder is not None
    sampling = Sampling(
        samples=options.samples,
        temperature=options.temperature,
        top_p=options.top_p,
        max_new_tokens=options.max_new_tokens,
        seed=config.seed,
    )
    sections = config.model_dump(mode="json")
    return EvaluationSettings(
        model=subject.name,
        model_digest=subject.digest(),
        suites={suite.name: suite.data["problems_sha256"] for suite in suites},
        judged_file=str(options.judge) if options.judge else None,
        judged_sha256=file_sha256(options.judge) if options.judge else None,
        sampling=sampling if generates else None,
        dtype=config.rollout.dtype if generates else None,
        prompt=sections["prompt"] if generates else None,
        answer=sections["answer"] if generates or options.judge else None,
        sandbox={key: sections["sandbox"][key] for key in ("limits", "packages", "image")},
    )


def _template_text(tokenizer: Any) -> str | None:
    """The chat template; several of them, by their names, as JSON."""
    template = getattr(tokenizer, "chat_template", None)
    return json.dumps(template, sort_keys=True) if isinstance(template, dict) else template


def _lies_in(path: Path, folder: Path) -> bool:
    return folder.resolve() in path.resolve().parents


def _default_out(
    config: RunConfig, subject: Subject, options: Options, suites: Sequence[Suite]
) -> Path:
    name = file_stem(options.judge) if options.judge else subject.name
    return config.local_runs / "eval" / "-".join([name, *(suite.name for suite in suites)])


def _existing_samples(
    options: Options, subject: Subject, suites: Sequence[Suite], answer: AnswerConfig
) -> list[GeneratedSample]:
    """The samples that need no model: canonical solutions, or those of a file."""
    if options.judge is not None:
        return read_samples(options.judge, suites, options.limit is not None, answer)
    if subject.name != CANONICAL or subject.folder is not None:
        return []
    for suite in suites:
        unsolved = [problem.id for problem in suite.problems if not problem.solution]
        if unsolved:
            raise ConfigError(
                f"--model {CANONICAL}: {len(unsolved)} problems of {suite.name} have no canonical "
                f"solution, such as {unsolved[0]}"
            )
    return [
        GeneratedSample(
            key=SampleKey(suite.name, problem.id, 0),
            task_id=task_id(problem),
            solution=problem.program,
        )
        for suite in suites
        for problem in suite.problems
    ]


def _require_enough(samples: Sequence[GeneratedSample], k: int) -> None:
    counts = Counter((sample.key.suite, sample.key.problem) for sample in samples)
    (suite, problem), fewest = min(counts.items(), key=lambda item: item[1])
    if fewest < k:
        raise ConfigError(
            f"--k {k}: pass@{k} needs at least {k} samples of each problem, and {problem} of "
            f"{suite} has {fewest}"
        )


def _tasks(suites: Sequence[Suite], encoder: PromptEncoder) -> Iterator[Task]:
    for suite in suites:
        for problem in suite.problems:
            prompt = encoder.encode(cut(problem, FULL_TASK, frozenset()))
            yield Task(suite.name, problem, task_id(problem), prompt)


def _prompts_of(suite: Suite, tasks: Sequence[Task], encoder: PromptEncoder) -> SuitePrompts:
    digest = hashlib.sha256()
    for task in tasks:
        if task.suite == suite.name:
            digest.update(f"{task.task_id} {task.prompt.ids}\n".encode())
    first = cut(suite.problems[0], FULL_TASK, frozenset())
    template = encoder.renderer.render(first).template
    return SuitePrompts(template, digest.hexdigest(), encoder.encode(first).text)


@contextmanager
def _note_on_continuing(folder: EvaluationFolder) -> Iterator[None]:
    """Add to whatever exception ends an evaluation, Ctrl-C included, how it goes on."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"continue with --resume; the samples so far are in {folder.samples}")
        raise
