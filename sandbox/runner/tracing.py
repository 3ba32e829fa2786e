"""Coverage into shared memory: a statement's first execution sets a byte; the next cost nothing."""

import sys
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

MONITORING: Any = getattr(sys, "monitoring", None)
METHOD = "monitoring" if MONITORING else "settrace"
"""How lines are observed; `settrace` (Python < 3.12) slows every line down."""


def arm(code: CodeType, hits: Any) -> None:
    """From now on, running line n of `code`, or of code nested in it, sets `hits[n]` to 1.

    `hits` is a writable buffer; lines past its end are not recorded. Afterwards `sys.monitoring` is
    gone, so that a program cannot switch it off by accident or in passing.
    """
    if MONITORING is None:
        _arm_settrace(code.co_filename, hits)
        return
    monitoring, size, disable = MONITORING, len(hits), MONITORING.DISABLE

    def line(_: CodeType, number: int) -> Any:
        if number < size:
            hits[number] = 1
        return disable

    tool, event = monitoring.COVERAGE_ID, monitoring.events.LINE
    monitoring.use_tool_id(tool, "stepcoder")
    monitoring.register_callback(tool, event, line)
    for each in _nested(code):
        monitoring.set_local_events(tool, each, event)
    delattr(sys, "monitoring")


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


def watch_for_tampering(filename: str, report: Callable[[], None]) -> None:
    """Call `report` when the program itself reaches for what coverage rests on.

    An audit hook, which nothing can remove: frames, the garbage collector's lists, tracing, ctypes,
    code in disguise. Library code that does the same (named tuples, enums) is not meant.
    """
    frame_of, busy = sys._getframe, []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if (event not in _TELLING and not event.startswith("ctypes.")) or busy:
            return
        if event == "import" and arguments[0] not in _TELLING_MODULES:
            return
        if event == "compile" and not str(arguments[1]).startswith(("/", "<frozen ", filename)):
            return
        if event.startswith("object.") and arguments[1] not in _TELLING_ATTRIBUTES:
            return
        busy.append(event)
        try:
            frame = frame_of(1)
            while event == "import" and frame.f_back and _is_importer(frame):
                frame = frame.f_back
            if not frame.f_code.co_filename.startswith(("/", "<frozen ")):
                report()
        finally:
            busy.clear()

    sys.addaudithook(hook)


def _is_importer(frame: Any) -> bool:
    return frame.f_code.co_filename.startswith("<frozen importlib")


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
