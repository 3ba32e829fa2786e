"""The preparation of the process that is forked for every program, which makes forks cheap.

Whatever a child does for the first time writes to memory it shares with the server, and each page
written is copied. So before the first fork everything that children use is loaded and used: first
use initialises, and the interpreter specialises code as it runs, which rewrites that code. Then the
memory itself is arranged, see `memory`.
"""

import atexit
import contextlib
import ctypes
import importlib
import os
import random
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

from . import memory, values
from .interpreter import semaphores
from .interpreter.program_run import PATH

PRELOADED = (
    *("array", "bisect", "collections", "copy", "datetime", "enum", "functools", "heapq"),
    *("itertools", "math", "operator", "re", "string", "time", "typing"),
)
"""Modules that programs often import. Each megabyte costs every fork some 50 us: so none that are
rare and large (`statistics`, `fractions`), and none that import `threading`."""
_PARTS = {"numpy": ("numpy.linalg", "numpy.random")}
"""Modules that a package loads when they are first used."""
REHEARSALS = 3
"""How often each job is rehearsed: the interpreter specialises code after a few executions."""
_CALLED = """\
import re
from typing import List
class Solution:
    def f(self, x: List[int], text: str = "a b") -> int:
        '''A sample of the syntax that programs use.'''
        seen, best = {}, [0.5]
        for i, part in enumerate(sorted(text.split())):
            if part in seen or len(x) > 3 and not i: continue
            elif i % 2 == 0:
                seen[part] = [n * 2 for n in x if n]
        try:
            while len(best) < 3: best.append(max(best) + x[9])
        except (IndexError, ValueError) as error:
            best += [str(error), f"{text:>8}", None]
        finally:
            best.sort(key=lambda value: repr(value))
        return {"seen": seen, "best": best, "pair": (1, 2)}
"""
_PRINTING = """\
import sys
def main():
    n = int(input())
    print(n, *map(int, sys.stdin.read().split()), sep="\\n")
if __name__ == "__main__":
    main()
"""
_JOBS: tuple[dict[str, Any], ...] = (
    {
        "source": _CALLED,
        "fn_name": "f",
        "setup": None,
        "exact": False,
        "result_argument": None,
        "inputs": [[[[1, 0, 3]], {"text": "c b a"}], [[[2]], {}], [[5], {}]],
    },
    {"source": _PRINTING, "fn_name": None, "setup": None, "inputs": ["2\n3 4\n"]},
    {"source": "x = 1\n", "fn_name": None, "setup": "y = x\n", "inputs": ["assert x == y"]},
)
_libc = ctypes.PyDLL(None)


def prepare(rehearse: Callable[[bytes], None], preload: Iterable[str] = ()) -> None:
    """Make this process, the server, ready to be forked many times.

    `rehearse` does in this process what a child does with a job; `preload` are further modules, of
    packages, for programs that import them. Afterwards a program's imports find neither the
    runner's modules nor those that give access to memory (`ctypes`, `mmap`, `gc`).
    """
    for name in PRELOADED:
        importlib.import_module(name)
    for name in (module for module in preload for module in (module, *_PARTS.get(module, ()))):
        importlib.import_module(name)
    if "numpy" in preload:
        importlib.import_module("numpy").random.seed(0)
    # At a program's end only its own functions run; there is no public way to forget the others.
    atexit._clear()  # pyright: ignore[reportPrivateUsage]
    for _ in range(REHEARSALS):
        for job in _JOBS:
            rehearse(values.dumps_exact(job).encode())
    semaphores.install()
    _forget_the_runner()
    random.seed(0)
    memory.settle()


def fork() -> int:
    """The C library's fork; returns 0 in the child and the child's number in the server.

    Not `os.fork`, which also resets locks and threads, of which this process has none, and reads
    /proc to warn of threads: together a tenth of what a small program costs.

    Raises:
        OSError: the kernel has no process left.
    """
    process = _libc.fork()
    if process < 0:
        raise OSError("no process could be forked")
    return process


def _forget_the_runner() -> None:
    for name in list(sys.modules):
        if name.split(".")[0] in (__package__, "ctypes", "_ctypes", "gc", "mmap", "solution"):
            del sys.modules[name]
    sys.modules["__main__"] = types.ModuleType("__main__")
    # As for `python3 program.py` in the folder of the program.
    sys.argv[:] = [os.path.basename(PATH)]
    sys.path[0] = os.path.dirname(PATH)
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module("no_such_module")  # reads the folders of `sys.path`
