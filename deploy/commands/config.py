"""`stepcoder config`: the resolved configuration, or one key explained."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from deploy.commands.configuration import Configuration, takes_configuration

app = App(
    name="config",
    help_epilogue="""\
Examples:
  stepcoder config --config deploy/profiles/local.yaml --learner.mask none
  stepcoder config --explain learner.mask
  stepcoder config --config deploy/profiles/local.yaml --explain rollout""",
)


@app.default
@takes_configuration()
def config(
    configuration: Configuration,
    *,
    explain: Annotated[
        str | None,
        Parameter(help="Describe this key or section: type, default, value, what set it."),
    ] = None,
) -> int:
    """Print the resolved configuration in YAML, or explain one key."""
    if explain is None:
        print(configuration.load().to_yaml(), end="")
        return 0
    from deploy.config.explain import explain as explanation

    print(explanation(explain, configuration.profile, configuration.override_arguments()))
    return 0
