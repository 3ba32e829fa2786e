"""The program in an answer: which stretch of a completion is run, and why the rest is not."""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from curriculum.answer.candidate import MAIN, PART, Candidate, CodeReader
from curriculum.answer.markdown.fences import Piece, read_pieces, with_fences
from curriculum.answer.markdown.markers import first_marker, leading_markers
from curriculum.answer.markdown.reasoning import reasoning_spans
from curriculum.answer.markdown.spans import Span, Stretch, inner_parts, merged
from curriculum.answer.markdown.view import View, block_view, plain_view
from curriculum.config import AnswerConfig
from curriculum.problem import Problem
from curriculum.program import Cut, Program, Rule
from curriculum.prompt import Prompt

_T = TypeVar("_T")
_MOST_CANDIDATES = 100
"""Blocks that are read of one answer: the last ones, or the first where those count."""
_INDENTED = re.compile(
    r"(?:^|\n)[ \t]*\n(?P<code>(?:(?:[ ]{2}|[ ]?\t)[ \t]*+\S[^\n]*(?:\n|\Z)|[ \t]*\n)+)"
)


def assemble(
    problem: Problem, prompt: Prompt, completion: str, config: AnswerConfig | None = None
) -> Program:
    """Make the program of a completion.

    Args:
        problem: names the function that is asked for, if any.
        prompt: what the completion continues: given code, and what it has opened.
        completion: the policy's text.
        config: what differs between users.
    """
    answer = _Answer(problem.fn_name, prompt, completion, config or AnswerConfig())
    candidate, with_prefix = answer.choose()
    return answer.program(problem.preamble, candidate, with_prefix)


class _Answer:
    """One completion behind its prefix; offsets are in `text`, the two as one."""

    def __init__(
        self, fn_name: str | None, prompt: Prompt, completion: str, config: AnswerConfig
    ) -> None:
        self._prefix = prompt.prefix
        self._text = prompt.prefix + completion
        self._floor = len(prompt.prefix)
        self._config = config
        self._reader = CodeReader(fn_name)
        self._spans: list[Span] = []
        self._read_pieces: dict[Piece, Candidate] = {}
        self._read_end = self._floor
        """Where the last stretch ends that is read: neither reasoning nor behind an end marker."""
        self._pieces = [*self._read(prompt)]

    def _read(self, prompt: Prompt) -> Iterator[Piece]:
        """The pieces of the answer; what is neither a piece nor a fence gets its span."""
        text, begin = self._text, self._floor
        fenced = with_fences(text)
        reasoning = reasoning_spans(text, begin, self._config.reasoning, prompt.in_reasoning)
        in_block, blank = prompt.in_code_fence, True
        for span in [*reasoning, Span(len(text), len(text), "end marker")]:
            start = min(leading_markers(text, begin), span.begin) if blank else begin
            if start > begin:
                self._spans.append(Span(begin, start, "end marker"))
            end = first_marker(text, start, span.begin)
            if start < end:  # behind a prefix, fences in the strings that it has begun are none
                self._read_end = end
                yield from read_pieces(fenced, 0 if start == self._floor else start, end, in_block)
            blank = blank and not text[start:end].strip()
            in_block = in_block and blank
            if end < span.begin:
                self._spans.append(Span(end, len(text), "end marker"))
                return
            if span.begin < span.end:
                self._spans.append(span)
            begin = span.end

    def choose(self) -> tuple[Candidate, bool]:
        """The program's stretch, and whether the prefix stands before it."""
        if self._floor:
            return self._continued()
        return self._best(self._pieces) or self._fallback(), False

    def _continued(self) -> tuple[Candidate, bool]:
        """The program behind a prefix: its continuation, or given code that is written anew."""
        text, floor = self._text, self._floor
        code = [piece for piece in self._pieces if piece.kind == "text" or piece.python]
        first = next((p for p in code if text[max(p.begin, floor) : p.end].strip()), None)
        if first is None:
            first = Piece(floor, floor, "text")
        begin = max(first.begin, floor)
        view = View(self._prefix + text[begin : first.end], [0, floor], [0, begin])
        finished = first.closed and first.end < self._read_end
        candidate = self._reader.read(view, floor=floor, fenced=False, finished=finished)
        adds = candidate.view.code[floor : candidate.end].strip()
        if self._reader.may_define(text[floor:], self._prefix) and not (
            adds and candidate.whole and candidate.valid
        ):
            others = [piece for piece in code if piece is not first]
            anew = self._best([first._replace(begin=begin), *others])
            if anew is not None and anew.whole == MAIN and anew.valid:
                return anew, False
        return candidate, True

    def _best(self, pieces: Sequence[Piece]) -> Candidate | None:
        """The best whole program: of the blocks, or failing that of the text around them.

        One that is no Python, or that the end of the answer cuts off, gives way to another.
        """
        invalid: Candidate | None = None
        for kind in ("block", "text"):
            chosen = (
                each
                for each in self._ordered(pieces)
                if each.kind == kind
                and (each.python or kind == "text")
                and self._text[each.begin : each.end].strip()
            )
            read = [each for piece in _first(chosen) for each in self._candidates(piece)]
            for level in (MAIN, PART):
                whole = [candidate for candidate in read if candidate.whole == level]
                for candidate in whole:
                    if len(whole) == 1 or (candidate.valid and not candidate.cut_off):
                        return candidate
                invalid = invalid or next(iter(whole), None)
        return invalid

    def _ordered(self, blocks: Sequence[_T]) -> Iterable[_T]:
        """Some blocks, the one that counts most first."""
        return reversed(blocks) if self._config.block == "last" else blocks

    def _candidates(self, piece: Piece) -> Iterator[Candidate]:
        """A piece as a program, and the indented blocks of a text that is none."""
        finished = piece.closed and piece.end < len(self._text)
        fenced = piece.kind == "block"
        if piece not in self._read_pieces:
            make = block_view if fenced else plain_view
            view = make(self._text, piece.begin, piece.end, piece.quoted)
            read = self._reader.read(view, fenced=fenced, finished=finished)
            self._read_pieces[piece] = read
        candidate = self._read_pieces[piece]
        yield candidate
        if not fenced and not candidate.whole:
            blocks = [*_INDENTED.finditer(candidate.view.code)]
            for found in _first(self._ordered(blocks)):
                view = block_view(
                    self._text, piece.begin + found.start("code"), piece.begin + found.end("code")
                )
                yield self._reader.read(view, fenced=True, finished=finished)

    def _fallback(self) -> Candidate:
        """Where there is no program: the block or the text that comes nearest to one."""
        text = self._text
        blocks = [piece for piece in self._pieces if piece.kind == "block"]
        filled = [p for p in blocks if p.python and text[p.begin : p.end].strip()]
        tagged = [piece for piece in filled if piece.word] or filled
        if tagged:
            coded = [
                p for p in tagged if re.search(r"\b(?:def|class|import)\b", text[p.begin : p.end])
            ]
            return next(
                self._candidates((coded or tagged)[-1 if self._config.block == "last" else 0])
            )
        texts = [p for p in self._pieces if p.kind == "text" and text[p.begin : p.end].strip()]
        if texts and not blocks:
            return next(self._candidates(texts[-1]))
        end = self._read_end
        if not blocks and len(self._pieces) == 1:
            return Candidate(
                plain_view(text, self._pieces[0].begin, end), 0, 0, end - self._pieces[0].begin
            )
        return Candidate(plain_view(text, end, end), 0, 0, 0)

    def program(self, preamble: str, candidate: Candidate, with_prefix: bool) -> Program:
        """The program of a candidate, with a cut for everything else."""
        view = candidate.view
        first, stop = max(candidate.begin, candidate.floor), candidate.end
        begin, end = view.place(first), view.end_place(stop) if stop > first else view.place(first)
        before = preamble + (self._prefix if with_prefix else "")
        inner = [
            Span(view.place(span.begin), view.end_place(span.end), span.rule)
            for span in candidate.spans
            if span.end > max(span.begin, candidate.floor)
        ]
        cuts = self._cuts(begin, end, inner, view.removed(first, stop) if stop > first else [])
        places = itertools.chain((begin, end), (at for cut in cuts for at in cut[:2]))
        offsets = self._byte_offsets(places)
        return Program(
            source=before + view.code[first:stop],
            completion_start=len(before.encode()),
            begin=offsets[begin],
            end=offsets[end],
            cuts=tuple(Cut(offsets[first], offsets[last], rule) for first, last, rule in cuts),
        )

    def _cuts(
        self, begin: int, end: int, inner: list[Span], indentation: list[Span]
    ) -> list[Stretch]:
        """Everything outside the stretch and the indentation inside it, in order, once."""
        outside = ((self._floor, begin), (end, len(self._text)))
        cuts: list[Stretch] = [*indentation]
        first = min([begin, *(span.begin for span in inner)])
        last = max([end, *(span.end for span in inner)])
        for tile in self._tiles(begin, end):
            if tile[1] <= first or tile[0] >= last:
                cuts.append(tile)
            else:
                cuts += inner_parts(Span(*tile), inner, outside)
        return merged(cuts)

    def _tiles(self, begin: int, end: int) -> Iterator[Stretch]:
        """The completion in stretches, each with the rule that leaves it out.

        Args:
            begin: where the program begins.
            end: where it ends.
        """
        named: list[Stretch] = [
            (each.begin, each.end, _rule(each, begin, end)) for each in self._pieces
        ]
        at = self._floor
        for first, last, rule in sorted([*self._spans, *named]):
            if at < first:
                yield at, first, "fence"
                at = first
            if at < last:
                yield at, last, rule
                at = last
        if at < len(self._text):
            yield at, len(self._text), "fence"

    def _byte_offsets(self, offsets: Iterable[int]) -> Mapping[int, int] | Sequence[int]:
        """The byte offset in the completion, by offset in the text."""
        if self._text.isascii():
            return range(-self._floor, len(self._text) - self._floor + 1)
        found: dict[int, int] = {}
        at, length = self._floor, 0
        for offset in sorted(set(offsets)):
            length += len(self._text[at:offset].encode(errors="surrogatepass"))
            at = offset
            found[offset] = length
        return found


def _first(blocks: Iterable[_T]) -> Iterable[_T]:
    """Those of some blocks that are read."""
    return itertools.islice(blocks, _MOST_CANDIDATES)


def _rule(piece: Piece, begin: int, end: int) -> Rule:
    """Why a piece is left out of the program that stands between two offsets."""
    if piece.kind == "text":
        return "prose"
    if piece.begin <= begin and end <= piece.end:
        return "indentation"
    return "other block" if piece.python else "other language"
