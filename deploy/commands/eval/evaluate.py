"""`stepcoder eval`: generate samples, judge them, print the figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from deploy.commands.configuration import Configuration, takes_configuration
from deploy.commands.data.source import FirstDay, LastDay, ReleaseOption, day
from deploy.logs import log_to_stdout


@takes_configuration(
    *("seed", "runs_dir", "data.heldout_per_tier", "data.heldout_seed"),
    *("rollout", "prompt", "answer", "sandbox", "pool", "placement"),
)
def evaluate(
    configuration: Configuration,
    *,
    model: Annotated[
        str | None,
        Parameter(
            help="Model folder, owner/name on the hub, folder of a finished run, a URL of "
            "either in a store, or `canonical`: the solutions."
        ),
    ] = None,
    suite: Annotated[
        list[str],
        Parameter(
            consume_multiple=True,
            help="humaneval, humaneval+, mbpp, mbpp+, mbpp-test, mbpp-evalplus, livecodebench, "
            "apps+, apps-sample (below STEPCODER_DATA), synthetic, or files that `stepcoder data "
            "convert` reads.",
        ),
    ],
    samples: Annotated[int, Parameter(help="Completions of each problem.")] = 1,
    temperature: Annotated[
        float | None, Parameter(help="Sampling temperature; greedy where it is not given.")
    ] = None,
    top_p: Annotated[float, Parameter(help="Probability mass that is sampled from.")] = 1.0,
    greedy: Annotated[bool, Parameter(help="The most probable token, always.")] = False,
    k: Annotated[str, Parameter(help="The k of pass@k, separated by commas.")] = "1",
    max_new_tokens: Annotated[int, Parameter(help="Longest completion [tokens].")] = 1024,
    limit: Annotated[int | None, Parameter(help="First problems of each suite only.")] = None,
    out: Annotated[
        Path | None,
        Parameter(("--out", "-o"), help="Folder of the results; below runs_dir/eval by default."),
    ] = None,
    resume: Annotated[bool, Parameter(help="Continue an evaluation that was stopped.")] = False,
    overwrite: Annotated[bool, Parameter(help="Replace the evaluation in the folder.")] = False,
    generate_only: Annotated[
        bool, Parameter(help="Write samples.jsonl and judge nothing; --resume judges later.")
    ] = False,
    judge: Annotated[
        Path | None,
        Parameter(
            help="JSONL of `task_id` and `solution` (EvalPlus), or `completion`, to judge instead."
        ),
    ] = None,
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16"],
        Parameter(help="Of the engine; auto: bfloat16 where model and processor have it."),
    ] = "auto",
    release: ReleaseOption = None,
    first_day: FirstDay = None,
    last_day: LastDay = None,
) -> int:
    """Evaluate a model on suites of problems: pass@k with 95 % intervals.

    The exit status is 1 where the sandbox failed on some sample. The `data` keys are those of the
    suite `synthetic`.
    """
    log_to_stdout()
    from curriculum.datasets.reading.format import ReadOptions
    from deploy.evaluation.options import checked_options

    options = checked_options(
        model=model,
        suites=suite,
        samples=samples,
        temperature=temperature,
        top_p=top_p,
        greedy=greedy,
        k=k,
        max_new_tokens=max_new_tokens,
        limit=limit,
        out=out,
        resume=resume,
        overwrite=overwrite,
        generate_only=generate_only,
        judge=judge,
        dtype=dtype,
        reading=ReadOptions(
            release=release, first_day=day(first_day, "--from"), last_day=day(last_day, "--to")
        ),
    )
    from deploy.evaluation.subject import Subject, subject_of
    from deploy.evaluation.suites import check_names

    check_names(options.suites)
    subject = subject_of(options.model) if options.model else Subject(str(options.judge))
    from deploy.evaluation.evaluate import evaluate as evaluated
    from deploy.evaluation.result import infrastructure_errors
    from deploy.report.evaluation_table import print_evaluation

    folder = evaluated(options, subject, configuration.profile, configuration.override_arguments())
    if generate_only:
        print(f"{folder.samples}: judge them with the same command and --resume")
        return 0
    result = folder.read_result()
    print_evaluation(result, folder.root)
    return 1 if infrastructure_errors(result) else 0
