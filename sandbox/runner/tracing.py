"""Coverage in shared memory: a statement's first execution sets a byte; later ones cost nothing.

The byte survives any death of the child, so a program that is killed keeps its coverage so far.
"""

import sys
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

MONITORING: Any = getattr(sys, "monitoring", None)
METHOD = "monitoring" if MONITORING else "settrace"
"""How lines are observed; `settrace` (Python before 3.12) slows every line down."""


class Tracer:
    """Records which lines of one program run; made by the server, armed by each child.

    `hits` is a writable buffer; lines past its end are not recorded. `report` is called when a
    program uses something that coverage relies on, see `_watch`. `sys.monitoring` is deleted from
    `sys`, so that a program does not switch it off by accident.
    """

    def __init__(self, filename: str, hits: Any, report: Callable[[], None]):
        self._watching = _watch(filename, report)
        self._filename = filename
        self._hits = hits
        if MONITORING is not None:
            tool, size, disable = MONITORING.COVERAGE_ID, len(hits), MONITORING.DISABLE
            self._event = MONITORING.events.LINE

            def on_line(_: CodeType, number: int) -> Any:
                if number < size:
                    hits[number] = 1
                return disable  # no more events for this line: the next execution costs nothing

            MONITORING.use_tool_id(tool, "stepcoder")
            MONITORING.register_callback(tool, self._event, on_line)
            delattr(sys, "monitoring")

    def arm(self, code: CodeType) -> None:
        """From now on, running line n of `code`, or of code nested in it, sets `hits[n]` to 1."""
        self._watching.append(True)
        if MONITORING is None:
            _arm_settrace(self._filename, self._hits)
            return
        # Events of this code only: global ones would slow down the standard library too.
        for part in _nested(code):
            MONITORING.set_local_events(MONITORING.COVERAGE_ID, part, self._event)

    def disarm(self) -> None:
        """Stop reporting until armed again; code that was armed is still recorded."""
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

    def on_call(frame: Any, _event: str, _: Any) -> Any:
        return local if frame.f_code.co_filename == filename else None

    threading.settrace(on_call)
    sys.settrace(on_call)


def _watch(filename: str, report: Callable[[], None]) -> list[bool]:
    """Call `report` whenever a program itself uses something that coverage relies on.

    That is: frames, the garbage collector's lists, tracing, ctypes, code under a library's file
    name. Library code that does the same for itself (named tuples, enums) is not reported; library
    code that does it for its caller is. It is an audit hook, which no Python call removes.

    Returns the switch: it reports while this list is not empty.
    """
    frame_of = sys._getframe  # pyright: ignore[reportPrivateUsage] # a hook has no other way
    watching: list[bool] = []
    # Not empty while the hook runs, which ignores the events that it causes itself.
    busy: list[str] = []
    # Local variables, because a program can change the module's.
    events, modules, attributes = _WATCHED_EVENTS, _WATCHED_MODULES, _WATCHED_ATTRIBUTES
    acts_for_caller = _acts_for_caller

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if (event not in events and not event.startswith("ctypes.")) or busy or not watching:
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
            while frame.f_back and acts_for_caller(event, frame.f_code.co_filename):
                frame = frame.f_back
            if not frame.f_code.co_filename.startswith(("/", "<frozen ")):
                report()
        finally:
            busy.clear()

    sys.addaudithook(hook)
    return watching


def _acts_for_caller(event: str, filename: str) -> bool:
    """Whether code of this file, when it causes such an event, hands the result to its caller."""
    if event == "import":
        return filename.startswith("<frozen importlib")
    return event == "sys._getframe" and filename.endswith(("/traceback.py", "/inspect.py"))


_WATCHED_MODULES = frozenset(
    {"ctypes", "_ctypes", "gc", "_testcapi", "_testinternalcapi", "_interpreters"}
)
_WATCHED_ATTRIBUTES = frozenset(
    {"__code__", "__closure__", "tb_frame", "f_back", "gi_frame", "ag_frame", "cr_frame"}
)
_WATCHED_EVENTS = frozenset(
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
