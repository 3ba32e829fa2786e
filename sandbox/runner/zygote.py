"""The process that is forked for every program: what makes a fork of it cheap.

Before the first fork everything is loaded that children use, and used (first use initialises, and
the interpreter adapts code as it runs, which writes to it); then memory is put in order, see
`memory`.
"""

import atexit
import ctypes
import importlib
import os
import random
import sys
import types
from collections.abc import Callable
from typing import Any

from . import memory, values

PRELOADED = (
    *("array", "bisect", "collections", "copy", "datetime", "enum", "functools", "heapq"),
    *("itertools", "math", "operator", "re", "string", "time", "typing"),
)
"""What programs import, so that a child finds it. Each megabyte of it costs every fork some 50 us:
so nothing that is rare and large (`statistics`, `fractions`), nor what brings in threads."""
REHEARSALS = 3
_CALLED = """\
import re
from typing import List
class Solution:
    def f(self, x: List[int], text: str = "a b") -> int:
        '''What programs are made of.'''
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
        "inputs": [[[[1, 0, 3]], {"text": "c b a"}], [[[2]], {}], [[5], {}]],
    },
    {"source": _PRINTING, "fn_name": None, "setup": None, "inputs": ["2\n3 4\n"]},
    {"source": "x = 1\n", "fn_name": None, "setup": "y = x\n", "inputs": ["assert x == y"]},
)
_libc = ctypes.PyDLL(None)


def prepare(rehearse: Callable[[bytes], None]) -> None:
    """Make this process, which serves from now on, ready to be forked many times.

    `rehearse` does with a job what children do. Afterwards none of our modules, nor those that open
    the machine, is where imports would find it.
    """
    for name in PRELOADED:
        importlib.import_module(name)
    atexit._clear()  # what a program registers is run at its end, and nothing else
    standard = (os.dup(0), os.dup(1))
    for _ in range(REHEARSALS):
        for job in _JOBS:
            rehearse(values.dumps_exact(job).encode())
    for number, original in enumerate(standard):
        os.dup2(original, number)
        os.close(original)
    _forget_the_runner()
    random.seed(0)
    memory.settle()


def fork() -> int:
    """The C library's fork: 0 in the child, its number in the parent; raises OSError.

    `os.fork` also resets locks and threads, of which this process has none, and reads /proc to
    warn of threads: together a tenth of what a small program costs.
    """
    process = _libc.fork()
    if process < 0:
        raise OSError("no process could be forked")
    return process


def _forget_the_runner() -> None:
    for name in list(sys.modules):
        if name.split(".")[0] in (__package__, "ctypes", "_ctypes", "gc", "mmap", "solution"):
            del sys.modules[name]
    del sys.path[0]
    sys.modules["__main__"] = types.ModuleType("__main__")
    sys.argv[:] = [""]
