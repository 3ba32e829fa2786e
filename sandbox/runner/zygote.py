"""The process that is forked for every program: what makes a fork of it cheap.

Nearly all that a small program costs is page faults: a page that parent and child share is copied
when either writes to it, and CPython writes to every object it touches, to count references. So
before the first fork everything is loaded that children use, used once (first use initialises),
and made immortal: reference counts of immortal objects are never written (PEP 683).
"""

import contextlib
import ctypes
import gc
import importlib
import os
import sys
import types

from . import child, values

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
_libc = ctypes.PyDLL(None)
_CODE_PARTS = (
    *("co_consts", "co_names", "co_varnames", "co_freevars", "co_cellvars"),
    *("co_name", "co_qualname", "co_filename", "co_linetable", "co_exceptiontable"),
)


def prepare() -> None:
    """Make this process, which serves from now on, ready to be forked many times.

    Afterwards none of our modules, nor those that open the machine, is where imports would find it.
    """
    for name in PRELOADED:
        importlib.import_module(name)
    for _ in range(REHEARSALS):
        _rehearse()
    _forget_the_runner()
    gc.collect()
    _make_immortal()
    gc.freeze()
    gc.disable()
    with contextlib.suppress(AttributeError):  # other C libraries have none
        _libc.malloc_trim(0)


def fork() -> int:
    """The C library's fork: 0 in the child, its number in the parent; raises OSError.

    `os.fork` also resets locks and threads, of which this process has none, and reads /proc to
    warn of threads: together a tenth of what a small program costs.
    """
    process = _libc.fork()
    if process < 0:
        raise OSError("no process could be forked")
    return process


def _rehearse() -> None:
    """What children do, once over, in this process; its outputs go nowhere."""
    emit: child.Emit = lambda *_: None  # noqa: E731
    job = {"source": _CALLED, "inputs": [[[[1, 0, 3]], {"text": "c b a"}], [[[2]], {}]]}
    decoded = values.loads(values.dumps_exact(job))
    program = child.compiled(decoded["source"], emit)
    assert program is not None
    program.calls("f", decoded["inputs"])
    printing = child.compiled(_PRINTING, emit)
    assert printing is not None
    files, standard = child.memory_files(), (os.dup(0), os.dup(1))
    printing.runs(["2\n3 4\n"], files, 1 << 10)
    for number, original in enumerate(standard):
        os.dup2(original, number)
    for descriptor in (*files, *standard):
        os.close(descriptor)


def _forget_the_runner() -> None:
    for name in list(sys.modules):
        if name.split(".")[0] in (__package__, "ctypes", "_ctypes", "gc", "mmap", "solution"):
            del sys.modules[name]
    del sys.path[0]
    sys.modules["__main__"] = types.ModuleType("__main__")
    sys.argv[:] = [""]


def _make_immortal() -> None:
    """Give every object that now lives the reference count of `None`, where that is immortal.

    On Python before 3.12, and on builds whose objects look otherwise, nothing is done.
    """
    count = ctypes.c_uint32
    immortal = count.from_address(id(None)).value
    unusual = hasattr(sys, "getobjects") or not getattr(sys, "_is_gil_enabled", lambda: True)()
    if sys.version_info < (3, 12) or immortal < 1 << 31 or unusual:
        return
    found = gc.get_objects()
    while found:
        new = []
        for each in found:
            counted = count.from_address(id(each))
            if counted.value != immortal:
                counted.value = immortal
                new.append(each)
        found = gc.get_referents(*new)
        for each in new:
            if type(each) is types.CodeType:  # which tells the collector nothing
                found += [getattr(each, part) for part in _CODE_PARTS]
