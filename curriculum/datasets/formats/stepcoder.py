"""StepCoder's own form: one `Problem` per record (`datasets.problem_file`)."""

from curriculum.datasets.problem_file import problem_of
from curriculum.datasets.reading.format import Format
from curriculum.datasets.reading.record import RecordReader
from curriculum.problem import TIERS, Problem


def own_problem(record: RecordReader) -> Problem:
    """The record holds the fields of `Problem`; its difficulty may be a level of the user's own."""
    tier = record.tier("difficulty", {tier: tier for tier in TIERS}, default=TIERS[0])
    return problem_of(record.fields | {"difficulty": tier}, record.path, record.where)


FORMAT = Format(
    name="stepcoder",
    description="StepCoder's own form, which a run reads and `stepcoder data convert` writes",
    keys=("id", "question", "solution", ("tests", "assertions")),
    more_keys=frozenset(Problem.model_fields),
    to_problem=own_problem,
)
