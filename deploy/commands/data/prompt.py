"""`stepcoder data prompt`: what the model will see of one problem."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from curriculum.problem import Problem
from curriculum.prompts.render import PromptRenderer
from curriculum.schedule.make import stage_offsets
from curriculum.subtask import FULL_TASK, cut_before
from deploy.commands.configuration import Configuration, takes_configuration
from deploy.commands.data.source import Selection, SourcePath, find_problem
from deploy.config import RunConfig
from deploy.config.load import read_profile
from deploy.errors import ConfigError
from learner.errors import ModelError
from learner.models.source import ModelSource

app = App(
    name="prompt",
    help_epilogue="""\
Examples:
  stepcoder data prompt problems.jsonl mbpp/1
  stepcoder data prompt problems.jsonl mbpp/1 \\
      --stage 0 --prompt.show_tests 3
  stepcoder data prompt problems.jsonl mbpp/1 \\
      --tokenizer models/qwen --prompt.style chat
  stepcoder data prompt mine.json p/7 \\
      --map question=task.text tests=asserts""",
)

MARK = "-----8<-----"


@app.default
@takes_configuration("prompt", "curriculum", "rollout", "model.path", "model.trust_remote_code")
def prompt(
    configuration: Configuration,
    source: SourcePath,
    problem_id: Annotated[str, Parameter(help="The problem's id, as `convert` writes it.")],
    /,
    *,
    stage: Annotated[
        int | None, Parameter(help="Stage of the curriculum; the whole task by default.")
    ] = None,
    tokenizer: Annotated[
        Path | None,
        Parameter(help="Hugging Face folder with the tokenizer; `model.path` by default."),
    ] = None,
    json_output: Annotated[
        bool, Parameter(name="--json", negative="", help="Print one JSON object.")
    ] = False,
    selection: Selection | None = None,
) -> int:
    """Print exactly what the model will see of one problem, and mark the code that is given.

    Without a tokenizer nothing is counted, and a prompt of style `chat` cannot be made.
    """
    config, folder = load(configuration, tokenizer)
    problem = find_problem(selection or Selection(), source, problem_id)
    seen = view(problem, stage, config, folder)
    if json_output:
        print(json.dumps(seen, ensure_ascii=False))
    else:
        print_view(seen)
    return 0


def load(configuration: Configuration, tokenizer: Path | None) -> tuple[RunConfig, Path | None]:
    """The configuration, and the folder of the tokenizer where one is named.

    Raises:
        ConfigError: the configuration is not valid.
    """
    profile = read_profile(configuration.profile) if configuration.profile else {}
    in_profile = isinstance(profile.get("model"), dict) and profile["model"].get("path")
    overrides = dict(configuration.overrides)
    if tokenizer is not None:
        overrides["model.path"] = json.dumps(str(tokenizer))
    elif not in_profile and "model.path" not in overrides:
        # A run of these prompts would need a model; to look at them, none is needed.
        overrides["model.path"] = "none"
        return replace(configuration, overrides=overrides).load(), None
    config = replace(configuration, overrides=overrides).load()
    assert config.model.path is not None
    source = ModelSource(config.model.path, config.model.trust_remote_code)
    try:
        return config, source.description()
    except ModelError as error:
        raise ConfigError(str(error)) from error


def view(
    problem: Problem, stage: int | None, config: RunConfig, folder: Path | None
) -> dict[str, Any]:
    """What there is to say of one prompt, with its ids where a tokenizer's folder is given.

    Raises:
        ConfigError: the problem has no such stage, style `chat` has no tokenizer, or the tokenizer
            cannot be read.
        CurriculumError: the prompt cannot be made.
    """
    offsets = stage_offsets(problem, config.curriculum)
    at = FULL_TASK if stage is None else stage
    if not FULL_TASK <= at < len(offsets):
        known = f"0 to {len(offsets) - 1}, and {FULL_TASK}" if offsets else f"{FULL_TASK}"
        raise ConfigError(
            f"--stage {at}: problem {problem.id!r} has stages {known} for the whole task "
            f"(curriculum.mode {config.curriculum.mode})"
        )
    subtask = cut_before(problem, at, offsets)
    renderer = PromptRenderer(config.prompt)
    rendered = renderer.render(subtask)
    seen: dict[str, Any] = {
        "id": problem.id,
        "stage": at,
        "stages": len(offsets),
        "style": config.prompt.style,
        "template": rendered.template,
        "names_function": renderer.names_function(problem),
        "in_code_fence": rendered.in_code_fence,
    }
    if folder is None:
        if config.prompt.style == "chat":
            raise ConfigError(
                "prompt.style chat: the tokenizer's chat template writes the prompt; give "
                "--tokenizer FOLDER"
            )
        text, given, tokens = rendered.text + rendered.prefix, rendered.prefix, None
    else:
        from deploy.checks.prompts import load_encoder

        encoder = load_encoder(config, folder)
        encoded = encoder.encode(subtask)
        text, given, tokens = encoded.text, encoded.prefix, len(encoded.ids)
        seen |= {"in_reasoning": encoded.in_reasoning, "ids": encoded.ids}
        seen["has_chat_template"] = encoder.has_chat_template
        longest = config.rollout.longest_prompt
        seen |= {"fits": tokens <= longest, "longest_prompt": longest}
        seen["limit"] = f"{longest} fit: {config.rollout.said_longest_prompt}"
    return seen | {
        "tokens": tokens,
        "text": text,
        "given": given,
        "given_start": len(text) - len(given),
    }


def print_view(seen: dict[str, Any]) -> None:
    """Say what it is, then the prompt itself, with a line before and behind the given code."""
    asked = "whole task" if seen["stage"] == FULL_TASK else f"stage {seen['stage']}"
    counted = "tokens: give --tokenizer" if seen["tokens"] is None else f"{seen['tokens']} tokens"
    said = [f"{asked} of {seen['stages']} stages", f"style {seen['style']}"]
    said += [f"template {seen['template']}", counted]
    if seen.get("fits") is False:
        said[-1] = f"does not fit ({counted}, {seen['limit']})"
    said += ["leaves a code fence open"] * seen["in_code_fence"]
    said += ["leaves reasoning open"] * bool(seen.get("in_reasoning"))
    said += ["names no function"] * (not seen["names_function"])
    print(f"{seen['id']}: {', '.join(said)}")
    if seen.get("has_chat_template") and seen["style"] == "base":
        print(
            "this tokenizer has a chat template: eval asks in style chat, train in style base "
            "unless --prompt.style chat"
        )
    text, start = seen["text"], seen["given_start"]
    print(f"{MARK} prompt")
    print(text[:start], end="" if not text[:start] or text[:start].endswith("\n") else "\n")
    if seen["given"]:
        print(f"{MARK} given code, a part of the prompt")
        print(seen["given"])
    print(f"{MARK} the policy writes from here")
