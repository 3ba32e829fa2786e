"""`stepcoder data synth`: problems of the bundled generator."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from curriculum.files import require_folder_of
from deploy.commands.data.source import Output, write_output
from deploy.errors import ConfigError

app = App(
    name="synth",
    help_epilogue="Examples:\n  stepcoder data synth -o problems.jsonl --per-tier 300",
)


@app.default
def synth(
    *,
    output: Output,
    per_tier: Annotated[int, Parameter(help="Problems of each tier.")] = 100,
    seed: Annotated[int, Parameter(help="Seed of every problem.")] = 1,
) -> int:
    """Write problems of the bundled generator."""
    from curriculum.synthetic.problems import synthetic_problems

    if per_tier < 1:
        raise ConfigError(f"--per-tier: {per_tier} problems cannot be made")
    require_folder_of(output)
    write_output(output, iter(synthetic_problems(seed, per_tier)))
    return 0
