"""The semaphores of `multiprocessing`, for programs that have one process and nothing to write to.

`multiprocessing` keeps them in /dev/shm. Its thread pools use them as well, and those work here.
"""

import sys
import types
from typing import Any

SEM_VALUE_MAX = 2**31 - 1
_RECURSIVE_MUTEX = 0


class SemLock:
    """The interface of `_multiprocessing.SemLock`, within one process."""

    SEM_VALUE_MAX = SEM_VALUE_MAX
    handle = 0

    def __init__(self, kind: int, value: int, maxvalue: int, name: str, unlink: bool):
        import threading  # has been loaded by then

        self.kind, self.maxvalue = kind, maxvalue
        self.name = None if unlink else name
        self._value, self._held, self._owner = value, 0, 0
        self._changed = threading.Condition(threading.Lock())
        self._this_thread = threading.get_ident

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take one; False if there is none (in time)."""
        with self._changed:
            if self.kind == _RECURSIVE_MUTEX and self._is_mine():
                self._held += 1
                return True
            seconds = timeout if block else 0
            if not self._changed.wait_for(lambda: self._value > 0, seconds):
                return False
            self._value -= 1
            self._held += 1
            self._owner = self._this_thread()
            return True

    def release(self) -> None:
        """Give one back.

        Raises:
            AssertionError: this thread does not hold the mutex.
            ValueError: there are too many.
        """
        with self._changed:
            if self.kind == _RECURSIVE_MUTEX:
                if not self._is_mine():
                    raise AssertionError("attempt to release recursive lock not owned by thread")
                if self._held > 1:
                    self._held -= 1
                    return
            elif self._value >= self.maxvalue:
                raise ValueError("semaphore or lock released too many times")
            self._held -= 1
            self._value += 1
            self._changed.notify()

    def _is_mine(self) -> bool:
        return self._held > 0 and self._owner == self._this_thread()

    def _count(self) -> int:
        return self._held

    def _get_value(self) -> int:
        return self._value

    def _is_zero(self) -> bool:
        return self._value == 0

    def _after_fork(self) -> None:
        self._held = 0

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def install() -> None:
    """Put them where `multiprocessing` looks for the interpreter's own."""
    module: Any = types.ModuleType("_multiprocessing")
    module.SemLock, module.sem_unlink = SemLock, _unlink
    module.flags = {}
    sys.modules["_multiprocessing"] = module


def _unlink(name: str) -> None:
    """Nothing: they have no names outside this process."""
