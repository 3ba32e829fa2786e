"""The command line: `stepcoder ...`, the same as `python -m deploy ...`."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Group, Parameter, UnknownOptionError, UnusedCliTokensError

from deploy.logs import close_progress_bars, set_up_logging

INTERRUPTED = 130
"""Exit status after Ctrl-C or SIGTERM, as in shells."""

EXAMPLES = """\
Examples:
  stepcoder train --config deploy/profiles/local.yaml --rollout.temperature 1.2
  stepcoder config --config deploy/profiles/local.yaml --explain learner.mask
  stepcoder sandbox run program.py --tests tests.json --fn solve
  stepcoder local-cluster up --config deploy/profiles/local.yaml

`stepcoder train --help` lists the configuration: --section.key VALUE sets a key."""


def _shown_default(value: Any) -> str | None:
    return None if value is None or value is False else str(value)


def _version() -> str:
    from importlib.metadata import version  # takes as long to import as all of this module

    return version("stepcoder")


_GLOBAL_OPTIONS = Group("Global options", sort_key=1000)

app = App(
    name="stepcoder",
    help="Reinforcement learning for code models from compiler and unit-test feedback.",
    help_epilogue=EXAMPLES,
    help_format="plaintext",
    version=_version,
    default_parameter=Parameter(negative=(), show_default=_shown_default, allow_repeating=True),
    suppress_keyboard_interrupt=False,
    group_commands=Group("Commands", sort_key=0),
    group_arguments=Group("Arguments", sort_key=1),
    group_parameters=Group("Options", sort_key=2),
)


_COMMANDS = {
    "train": "Train a policy: warm start, RL, evaluation.",
    "ablate": "Train every arm of an ablation over seeds, and compare them.",
    "sft": "Fine-tune a policy on the solutions of a data set.",
    "eval": "Evaluate a model on suites of problems: pass@k with intervals.",
    "export": "Write the policy of a checkpoint as a model folder.",
    "config": "Print the resolved configuration, or explain a key.",
    "result": "Print the result table of a finished run.",
    "report": "Write a page with the charts of runs.",
    "compare": "Print two runs side by side.",
    "signal": "Print signal and noise of the policy gradient, by mask.",
    "inspect": "Write pages that show each sample of a run or an evaluation.",
    "data": "Convert, count, show, make and verify data sets.",
    "sandbox": "Run a program on its tests.",
    "plan": "Say what a run takes, on which GPUs it fits, and what it costs.",
    "k8s": "Render manifests for Kubernetes from a profile.",
    "local-cluster": "Train on a Ray cluster of this machine.",
    "chaos": "Train while parts of the run are killed.",
    "bench": "Measure a part against its target.",
    "check": "Check whether this machine can run all of it, and how fast.",
}
"""Summaries in the order of `--help`. Modules load when their command runs."""
_FOLDERS = {
    **dict.fromkeys(("result", "report", "compare", "signal", "inspect"), "runs"),
    **dict.fromkeys(("plan", "k8s", "local-cluster"), "cluster"),
}
"""The folder below `commands/` of those modules that are in one."""
for _position, (_name, _summary) in enumerate(_COMMANDS.items()):
    _folder = f"{_FOLDERS[_name]}." if _name in _FOLDERS else ""
    app.command(
        f"deploy.commands.{_folder}{_name.replace('-', '_')}:app",
        name=_name,
        help=_summary,
        sort_key=_position,
    )
app.register_install_completion_command()


app.meta.suppress_keyboard_interrupt = False


@app.meta.default
def _run(
    *arguments: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    verbose: Annotated[
        bool,
        Parameter(("--verbose", "-v"), group=_GLOBAL_OPTIONS, show_default=False,
                  help="Log debug messages; show where an error comes from."),
    ] = False,
    quiet: Annotated[
        bool,
        Parameter(("--quiet", "-q"), group=_GLOBAL_OPTIONS, show_default=False,
                  help="Log warnings and errors only."),
    ] = False,
) -> Any:  # fmt: skip
    """Handle what every command has in common, then run the command."""
    set_up_logging(verbose, quiet)
    return app(arguments, **_IN_PROCESS)


_IN_PROCESS: dict[str, Any] = {
    "exit_on_error": False,
    "print_error": False,
    "result_action": "return_value",
}
"""Have cyclopts return and raise: `main` alone decides on messages and exit statuses."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return app.meta(arguments, **_IN_PROCESS) or 0
    except CycloptsError as error:
        return _fail(_usage_message(error), 2)
    except KeyboardInterrupt as interrupt:
        message = "interrupted; everything that this command started is stopped"
        return _fail(message, INTERRUPTED, interrupt)
    except BrokenPipeError:  # of `stepcoder config | head`
        sys.stderr.close()
        return 1
    except Exception as error:
        status = _exit_status(error)
        if status is None:
            raise
        logging.getLogger(__name__).debug("where it failed", exc_info=True)
        return _fail(_message(error), status, error)


def _interrupt(*_: object) -> None:
    """`ray job stop` sends SIGTERM: end as on Ctrl-C, through every `finally`."""
    # Slurm's `scancel` signals every process, and its script tells the run once more: a second
    # interrupt would cut off the first one's cleaning up.
    signal.signal(signal.SIGTERM, lambda *_: None)
    # Ray blocks SIGINT in all that it starts, and a shell has its background commands ignore it.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)


def _usage_message(error: CycloptsError) -> str:
    """What is wrong with the arguments, on one line."""
    if isinstance(error, UnknownOptionError) and error.token and error.token.keyword:
        from deploy.config.load import unknown_key

        key = error.token.keyword.removeprefix("--").replace("-", "_")
        takes_configuration = "--config" in (error.argument_collection or ())
        if takes_configuration and ("." in key or "Did you mean" not in str(error)):
            return f"{unknown_key(key)} (`stepcoder train --help` lists every key)"
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return f"unexpected argument {error.unused_tokens[0]!r}; see --help"
    return " ".join(str(error).split())


def _exit_status(error: Exception) -> int | None:
    """2 for wrong arguments, files and data, 1 for a failed run; None for a defect in StepCoder."""
    from actors.errors import RunFailed
    from curriculum.errors import CurriculumError
    from deploy.errors import DeployError
    from learner.errors import LearnerError
    from sandbox import SandboxError

    if isinstance(error, DeployError):
        return error.exit_status
    if isinstance(error, CurriculumError):
        return 2
    if isinstance(error, OSError):
        wrong_path = FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError
        return 2 if isinstance(error, (*wrong_path, PermissionError)) else 1
    expected = RunFailed, LearnerError, SandboxError
    return 1 if isinstance(error, expected) else None


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        place = error.filename2 or error.filename
        return f"{place}: {error.strerror}" if place else error.strerror
    return str(error) or type(error).__name__


def _fail(message: str, status: int, error: BaseException | None = None) -> int:
    """Print a message, then the notes of the error, which say how to continue a run."""
    close_progress_bars()
    lines = [f"stepcoder: {message}", *getattr(error, "__notes__", ())]
    print("\n".join(lines), file=sys.stderr, flush=True)
    return status
