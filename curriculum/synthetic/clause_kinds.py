"""The phrases of the synthetic language: what each means, and how it is written incorrectly."""

from dataclasses import dataclass

Lines = tuple[str, ...]


@dataclass(frozen=True)
class ClauseKind:
    """One phrase of the language, as templates over the variable {v} and the numbers {K}, {M}."""

    phrase: str
    code: Lines
    """What the phrase means. The first line names {v} exactly once."""
    incorrect: tuple[Lines, ...]
    """Incorrect variants for the corpus; each differs from `code` on some input."""


EASY = (
    ClauseKind(
        "cap {K}",
        ("if {v} > {K}:", "    {v} = {K}"),
        (("if {v} < {K}:", "    {v} = {K}"),),
    ),
    ClauseKind(
        "double under {K}",
        ("if {v} < {K}:", "    {v} *= 2"),
        (("if {v} <= {K}:", "    {v} *= 2"),),
    ),
    ClauseKind(
        "evens plus {M}",
        ("if {v} % 2 == 0:", "    {v} += {M}"),
        (("if {v} % 2 == 1:", "    {v} += {M}"),),
    ),
    ClauseKind(
        "odds minus {M}",
        ("if {v} % 2 == 1:", "    {v} -= {M}"),
        (("if {v} % 2 == 1:", "    {v} += {M}"),),
    ),
    ClauseKind(
        "flip negative",
        ("if {v} < 0:", "    {v} = -{v}"),
        (("if {v} > 0:", "    {v} = -{v}"),),
    ),
    ClauseKind(
        "{K} becomes {M}",
        ("if {v} == {K}:", "    {v} = {M}"),
        (("if {v} == {M}:", "    {v} = {K}"),),
    ),
)
"""Kinds whose correct variant is the most frequent in the corpus."""

LEAVING = (
    ClauseKind(
        "skip under {K}",
        ("if {v} < {K}:", "    continue"),
        (("if {v} <= {K}:", "    continue"),),
    ),
    ClauseKind(
        "stop over {K}",
        ("if {v} > {K}:", "    break"),
        (("if {v} >= {K}:", "    break"),),
    ),
)
"""Easy kinds that leave the loop; only clauses on each number can be of these."""

HARD_INTERVIEW = (
    ClauseKind(
        "mirror {K}",
        ("if {v} < {K}:", "    {v} = {K} - {v}"),
        (
            ("if {v} < {K}:", "    {v} = {v} - {K}"),
            ("if {v} > {K}:", "    {v} = {K} - {v}"),
        ),
    ),
    ClauseKind(
        "ring {K}",
        ("while {v} >= {K}:", "    {v} -= {K}"),
        (
            ("while {v} > {K}:", "    {v} -= {K}"),
            ("if {v} >= {K}:", "    {v} -= {K}"),
        ),
    ),
    ClauseKind(
        "near {K}",
        ("if abs({v}) < {K}:", "    {v} += {K}"),
        (
            ("if abs({v}) > {K}:", "    {v} += {K}"),
            ("if abs({v}) < {K}:", "    {v} = {K}"),
        ),
    ),
)
"""Kinds whose incorrect variants are more frequent in the corpus; used in the interview tier."""

HARD_COMPETITION = (
    ClauseKind(
        "fold {K}",
        ("while {v} > {K}:", "    {v} //= 2"),
        (
            ("while {v} >= {K}:", "    {v} //= 2"),
            ("if {v} > {K}:", "    {v} //= 2"),
        ),
    ),
    ClauseKind(
        "lift {K} {M}",
        ("if {v} % {K} == 0:", "    {v} += {M}"),
        (
            ("if {v} % {K} == 0:", "    {v} += {K}"),
            ("if {v} % {M} == 0:", "    {v} += {M}"),
        ),
    ),
    ClauseKind(
        "swing {K} {M}",
        ("if {v} > {K}:", "    {v} -= {M}", "elif {v} < {M}:", "    {v} += {K}"),
        (
            ("if {v} > {M}:", "    {v} -= {M}", "elif {v} < {M}:", "    {v} += {K}"),
            ("if {v} > {K}:", "    {v} -= {M}", "elif {v} < {M}:", "    {v} += {M}"),
        ),
    ),
    ClauseKind(
        "climb {K} {M}",
        ("while {v} < {K}:", "    {v} += {M}"),
        (
            ("while {v} <= {K}:", "    {v} += {M}"),
            ("while {v} < {M}:", "    {v} += {K}"),
        ),
    ),
    ClauseKind(
        "step {K} {M}",
        ("if {v} >= {K}:", "    {v} = {v} * 2 - {M}"),
        (
            ("if {v} >= {K}:", "    {v} = {v} * 2 + {M}"),
            ("if {v} >= {M}:", "    {v} = {v} * 2 - {K}"),
        ),
    ),
)
"""Kinds like those, used (except for rare clauses) in the competition tier only."""

HARD = HARD_INTERVIEW + HARD_COMPETITION
