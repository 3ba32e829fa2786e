"""The suites that a run's evaluations ask beside its held-out problems, read before it starts."""

from __future__ import annotations

from actors.training.evaluate import HELDOUT
from curriculum.datasets.load import DataSet
from curriculum.prompts.fit import named
from deploy.config import RunConfig
from deploy.errors import ConfigError
from deploy.evaluation.suites import Suite, load_suites


def load_eval_suites(config: RunConfig, dataset: DataSet) -> list[Suite]:
    """Read the suites of `loop.eval_suites`.

    Raises:
        ConfigError: an unknown name, two suites of one name, or one whose questions are trained on.
        CurriculumError: a file cannot be read.
    """
    suites = load_suites(config.loop.eval_suites, None, config.data, "loop.eval_suites")
    trained = {problem.question for problem in dataset.train}
    for suite in suites:
        if suite.name == HELDOUT:
            raise ConfigError(
                f"loop.eval_suites: {HELDOUT} is the name of the run's own held-out problems; "
                "rename the file"
            )
        shared = [problem.id for problem in suite.problems if problem.question in trained]
        if shared:
            raise ConfigError(
                f"loop.eval_suites: {suite.name} asks {len(shared)} questions that the run trains "
                f"on: {named(shared)}; leave the suite out, or train on other problems "
                f"(`stepcoder data split` divides a file)"
            )
    return suites
