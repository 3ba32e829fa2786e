"""Subsets of MBPP that published figures are over, by the numbers of their problems."""

from __future__ import annotations

from collections.abc import Iterator


def numbers(text: str) -> frozenset[int]:
    """The numbers in a text of numbers and ranges, such as `2-4 6`."""
    return frozenset(number for word in text.split() for number in _range(word))


def id_number(problem_id: str) -> int:
    """The number at the end of a problem's id; -1 where there is none."""
    last = problem_id.rpartition("/")[2]
    return int(last) if last.isdigit() else -1


def _range(word: str) -> Iterator[int]:
    first, _, last = word.partition("-")
    yield from range(int(first), int(last or first) + 1)


TEST = numbers("11-510")
"""The test split (Austin et al. 2021); 1 to 10 are for few-shot prompts."""

EVALPLUS = numbers(
    """
    2-4 6-9 11-12 14 16-20 56-59 61-72 74-75 77 79-80 82 84-106 108-109 111 113 116
    118-120 123-133 135 137-142 145 160-162 165-168 170-172 222-224 226-227 230 232-235
    237-240 242 244-245 247 250-253 255-257 259-262 264-274 276-287 290 292-294 296-297
    299-301 305-306 308-312 388-392 394-395 397-398 404-406 409-410 412-415 418-422
    424-430 432-433 435-437 439-441 445-448 450-451 453-460 462-463 465 468 470-479
    554-560 562-569 572-573 576-581 583 585-594 596-600 602-608 610-612 614-616 618-620
    622-624 626 628-633 635 637-639 641 643-644 720-726 728 730-737 739-745 748-755
    757-760 762-767 769-773 775 777-778 780-782 784-788 790-794 796-801 803-809
    """
)
"""The 378 problems of EvalPlus' MBPP+ v0.2.0, over which its leaderboard reports MBPP and MBPP+:
the sanitized subset (427) without those that EvalPlus found ambiguous or broken. It takes their
questions and asserts from the sanitized file, where 212 questions are worded and 94 problems'
asserts written otherwise than in the original.
"""
