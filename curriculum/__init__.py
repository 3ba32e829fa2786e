"""What to ask: problems, subtasks cut from their solutions, and the schedule that orders them."""

from curriculum.answer.assemble import assemble
from curriculum.config import AnswerConfig, CurriculumConfig, DataConfig, PromptConfig
from curriculum.datasets.load import DataSet, load_dataset
from curriculum.datasets.problem_file import read_problems, write_problems
from curriculum.errors import BadRecord
from curriculum.problem import TIERS, Problem, Test, Tier
from curriculum.program import Cut, Program
from curriculum.prompt import Prompt
from curriculum.prompts.encode import PromptEncoder
from curriculum.prompts.render import PromptRenderer
from curriculum.schedule.base import Schedule
from curriculum.schedule.make import make_schedule
from curriculum.start_points import START_POINT_KINDS, start_points
from curriculum.subtask import FULL_TASK, Subtask, cut
from curriculum.synthetic.corpus import noisy_corpus
from curriculum.synthetic.problems import synthetic_problems

__all__ = [
    "FULL_TASK",
    "START_POINT_KINDS",
    "TIERS",
    "AnswerConfig",
    "BadRecord",
    "CurriculumConfig",
    "Cut",
    "DataConfig",
    "DataSet",
    "Problem",
    "Program",
    "Prompt",
    "PromptConfig",
    "PromptEncoder",
    "PromptRenderer",
    "Schedule",
    "Subtask",
    "Test",
    "Tier",
    "assemble",
    "cut",
    "load_dataset",
    "make_schedule",
    "noisy_corpus",
    "read_problems",
    "start_points",
    "synthetic_problems",
    "write_problems",
]
