"""Coverage into shared memory: a statement's first execution sets a byte; the next cost nothing."""

import sys
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

MONITORING: Any = getattr(sys, "monitoring", None)
METHOD = "monitoring" if MONITORING else "settrace"
"""How lines are observed; `settrace` (Python < 3.12) slows every line down."""


class Tracer:
    """Made once by the process that is forked; a child only arms it for its program.

    `hits` is a writable buffer; lines past its end are not recorded. `report` is called when a
    program reaches for what coverage rests on, see `_watch`. Only its maker holds `sys.monitoring`
    afterwards, so that a program cannot switch it off by accident or in passing.
    """

    def __init__(self, filename: str, hits: Any, report: Callable[[], None]):
        self._watching = _watch(filename, report)
        self._filename = filename
        self._hits = hits
        if MONITORING is not None:
            tool, size, disable = MONITORING.COVERAGE_ID, len(hits), MONITORING.DISABLE
            self._event = MONITORING.events.LINE

            def line(_: CodeType, number: int) -> Any:
                if number < size:
                    hits[number] = 1
                return disable

            MONITORING.use_tool_id(tool, "stepcoder")
            MONITORING.register_callback(tool, self._event, line)
            delattr(sys, "monitoring")

    def arm(self, code: CodeType) -> None:
        """From now on, running line n of `code`, or of code nested in it, sets `hits[n]` to 1."""
        self._watching.append(True)
        if MONITORING is None:
            _arm_settrace(self._filename, self._hits)
            return
        for each in _nested(code):
            MONITORING.set_local_events(MONITORING.COVERAGE_ID, each, self._event)

    def disarm(self) -> None:
        """Report nothing more until it is armed again; only code armed so far is recorded."""
        self._watching.clear()


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _arm_settrace(filename: str, hits: Any) -> None:
    import threading

    size = len(hits)

    def local(frame: Any, event: str, _: Any) -> Any:
        if event == "line" and frame.f_lineno < size:
            hits[frame.f_lineno] = 1
        return local

    def entered(frame: Any, _event: str, _: Any) -> Any:
        return local if frame.f_code.co_filename == filename else None

    threading.settrace(entered)
    sys.settrace(entered)


def _watch(filename: str, report: Callable[[], None]) -> list[bool]:
    """Call `report` when a program itself reaches for what coverage rests on, while the list that
    is returned holds anything.

    An audit hook, which no call removes: frames, the garbage collector's lists, tracing, ctypes,
    code in disguise. Library code that does the same (named tuples, enums) is not meant, unless it
    only passes on what it finds.
    """
    frame_of, busy, watching = sys._getframe, [], []
    # Held here, and not by this module, whose names are within a program's reach.
    telling, modules, attributes = _TELLING, _TELLING_MODULES, _TELLING_ATTRIBUTES
    passes_on = _passes_on

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if (event not in telling and not event.startswith("ctypes.")) or busy or not watching:
            return
        if event == "import" and arguments[0] not in modules:
            return
        if event == "compile" and not str(arguments[1]).startswith(("/", "<frozen ", filename)):
            return
        if event.startswith("object.") and arguments[1] not in attributes:
            return
        busy.append(event)
        try:
            frame = frame_of(1)
            while frame.f_back and passes_on(event, frame.f_code.co_filename):
                frame = frame.f_back
            if not frame.f_code.co_filename.startswith(("/", "<frozen ")):
                report()
        finally:
            busy.clear()

    sys.addaudithook(hook)
    return watching


def _passes_on(event: str, filename: str) -> bool:
    """Whether code of this file does what it does for its caller."""
    if event == "import":
        return filename.startswith("<frozen importlib")
    return event == "sys._getframe" and filename.endswith(("/traceback.py", "/inspect.py"))


_TELLING_MODULES = frozenset(
    {"ctypes", "_ctypes", "gc", "_testcapi", "_testinternalcapi", "_interpreters"}
)
_TELLING_ATTRIBUTES = frozenset(
    {"__code__", "__closure__", "tb_frame", "f_back", "gi_frame", "ag_frame", "cr_frame"}
)
_TELLING = frozenset(
    {
        "import",
        "compile",
        "object.__getattr__",
        "object.__setattr__",
        "code.__new__",
        "function.__new__",
        "gc.get_objects",
        "gc.get_referrers",
        "gc.get_referents",
        "sys._getframe",
        "sys._current_frames",
        "sys._current_exceptions",
        "sys.settrace",
        "sys.setprofile",
        "sys.monitoring.register_callback",
        "sys.addaudithook",
    }
)
