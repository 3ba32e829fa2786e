"""`stepcoder data split`: a training and a held-out file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from curriculum.datasets.problem_file import write_problems
from curriculum.datasets.registry import ENDINGS, Skipped
from curriculum.files import require_folder_of
from deploy.commands.data.source import Selection, SourcePath, report_skipped
from deploy.errors import ConfigError

app = App(
    name="split",
    help_epilogue="""\
Examples:
  stepcoder data split problems.jsonl --heldout 0.1 --by tier

writes problems.train.jsonl and problems.heldout.jsonl: only the ending that says the form, such as
.jsonl or .jsonl.gz, is left out of the name. Problems with the same question are in the same
file, and the same seed gives the same files. --overwrite replaces files that exist.""",
)


def without_ending(name: str) -> str:
    """The name of a data file without what says its form: `he.10.jsonl.gz` is `he.10`."""
    ending = max((end for end in ENDINGS if name.endswith(end)), key=len, default="")
    return name.removesuffix(ending) or name


@app.default
def split(
    source: SourcePath,
    /,
    *,
    heldout: Annotated[float, Parameter(help="Share of the held-out problems.")] = 0.1,
    by: Annotated[
        Literal["tier", "source", "nothing"], Parameter(help="What both files have alike.")
    ] = "tier",
    seed: Annotated[int, Parameter(help="Seed of the choice.")] = 0,
    output: Annotated[
        Path | None,
        Parameter(("--output", "-o"), help="Names the files: OUTPUT.train.jsonl; SOURCE's name."),
    ] = None,
    overwrite: Annotated[bool, Parameter(help="Replace existing files.", negative=())] = False,
    selection: Selection | None = None,
) -> int:
    """Divide problems into a training and a held-out file."""
    from curriculum.datasets.split import split_problems

    if not 0 < heldout < 1:
        raise ConfigError(f"--heldout {heldout:g}: a share lies between 0 and 1")
    named = output or source
    stem = named.with_name(without_ending(named.name))
    paths = [stem.with_name(f"{stem.name}.{part}.jsonl") for part in ("train", "heldout")]
    for path in paths:
        require_folder_of(path)
        if path.exists() and not overwrite:
            raise ConfigError(
                f"{path}: exists; replace it with --overwrite, or name others with -o"
            )
    skipped = Skipped()
    problems = list((selection or Selection()).read(source, skipped))
    report_skipped(skipped)
    parts = split_problems(problems, heldout, by, seed)
    if not all(parts):
        questions = len({problem.question for problem in problems})
        raise ConfigError(
            f"{source}: {len(problems)} problems with {questions} different questions cannot be "
            f"divided so that {heldout:g} of them are held out; one file would be empty"
        )
    for path, part in zip(paths, parts, strict=True):
        write_problems(path, part)
        print(f"{path}: {len(part)} problems")
    return 0
