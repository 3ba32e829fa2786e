"""How deep a program may recurse: as deep as in an interpreter of its own, and deeper through C.

Python counts two depths for each thread: calls of Python functions, which `sys.setrecursionlimit`
limits, and (3.12, 3.13) recursion of the interpreter's C code, which nothing can raise: some 5,000
levels of `functools.lru_cache` whatever the program sets. Both counters are changed in place here.
"""

import _thread
import ctypes
import sys
from collections.abc import Callable
from typing import Any

STACK_BYTES = 256 << 20
"""The main thread's stack."""
_BYTES_PER_LEVEL = 838
"""Stack that Python itself reckons with for one level of C: 8 MiB for 10,000 levels."""
_USUAL_STACK = 8 << 20
_FIELDS = 128
"""How many integers at the beginning of a thread's state are searched."""
_HAS_C_COUNTER = (3, 12) <= sys.version_info < (3, 14)
_state_of_this_thread: Any = ctypes.PyDLL(None).PyThreadState_Get
_state_of_this_thread.restype = ctypes.c_void_p


class RecursionDepth:
    """The depth counters of this process; made once, in the main thread of the server."""

    def __init__(self) -> None:
        limit = sys.getrecursionlimit()
        fields = (ctypes.c_int * _FIELDS).from_address(_state_of_this_thread())
        marks: list[set[int]] = []
        for mark in (987_654, 876_543):  # no other field has both values, one after the other
            sys.setrecursionlimit(mark)
            marks.append({at for at in range(1, _FIELDS) if fields[at] == mark})
        sys.setrecursionlimit(limit)
        found = marks[0] & marks[1]
        self._at = min(found, default=0)
        self._fields = fields
        self._usual = fields[self._at + 1]

    def begin(self) -> None:
        """Count the calls of the main thread from here: to be called just before the program runs.

        The runner's own calls then do not count; and C code may recurse as deep as the main
        thread's stack has space.
        """
        if self._at:
            self._fields[self._at - 1] = sys.getrecursionlimit()
            if _HAS_C_COUNTER:
                self._fields[self._at + 1] = STACK_BYTES // _BYTES_PER_LEVEL

    def end(self) -> None:
        """Let C code recurse as deep as before `begin` again."""
        if self._at and _HAS_C_COUNTER:
            self._fields[self._at + 1] = self._usual

    def follow_threads(self) -> None:
        """Let C code recurse deeper in threads whose stack the program made larger than usual."""
        if not self._at or not _HAS_C_COUNTER:
            return
        for name in ("start_new_thread", "start_new", "start_joinable_thread"):
            start = getattr(_thread, name, None)
            if start is not None:
                setattr(_thread, name, self._following(start))

    def _following(self, start: Callable[..., Any]) -> Callable[..., Any]:
        at, size, state = self._at + 1, _thread.stack_size, _state_of_this_thread
        fields_at = (ctypes.c_int * _FIELDS).from_address

        def start_thread(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
            stack = size()  # which also sets it back to the usual size
            if stack:
                size(stack)
            if stack <= _USUAL_STACK or not callable(function):
                return start(function, *arguments, **keywords)

            def run(*arguments: Any, **keywords: Any) -> None:
                fields_at(state())[at] = stack // _BYTES_PER_LEVEL
                function(*arguments, **keywords)

            return start(run, *arguments, **keywords)

        return start_thread
