"""`stepcoder data template`: an example of each kind of problem."""

from __future__ import annotations

from cyclopts import App

from curriculum.files import require_folder_of, write_atomic
from deploy.commands.data.source import Output

app = App(
    name="template",
    help_epilogue="""\
Examples:
  stepcoder data template -o problems.jsonl

Replace the examples by your problems; `stepcoder data verify` says whether they are right.""",
)


@app.default
def template(*, output: Output) -> int:
    """Write an example of each kind of problem, to start from."""
    from curriculum.datasets.template import TEMPLATE, template_lines

    require_folder_of(output)
    if output.exists():
        from deploy.errors import ConfigError

        raise ConfigError(f"{output}: exists; name another file")
    write_atomic(output, template_lines())
    print(f"{output}: {len(TEMPLATE)} problems, one of each kind")
    return 0
