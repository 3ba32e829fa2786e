"""How the process that is forked for every program lies in memory: so that forks are cheap.

Most of what a small program costs is page work: mapping pages at the fork, copying those that
parent or child writes to, unmapping them at exit. So what lives is made immortal, as reference
counts are never written then (PEP 683); what comes to live lies close together; and memory is
mapped in large pages, where the kernel has them, which are mapped and unmapped as one.
"""

import contextlib
import ctypes
import gc
import sys
import types
from collections.abc import Callable
from typing import Any

HUGE = 1 << 21
"""Bytes of a large page (x86-64; aarch64 with pages of 4 KiB)."""
_POOL, _POOL_HEADER = 1 << 14, 48
"""Of Python's own allocator, bytes: where the first block of a pool lies."""
_LARGEST_POOLED, _STEP = 512, 16
_ANY_HEAP_GAP = 120_000
"""Bytes; the C library gives larger blocks a mapping of their own."""
_READ_WRITE, _READ_EXECUTE = 3, 5
_PRIVATE_ANONYMOUS = 0x22
_MOVE_THERE = 3  # MREMAP_MAYMOVE | MREMAP_FIXED
_ADVISE_HUGE, _COLLAPSE = 14, 25
_TOP_PAD = -2
_CODE_PARTS = (
    *("co_consts", "co_names", "co_varnames", "co_freevars", "co_cellvars"),
    *("co_name", "co_qualname", "co_filename", "co_linetable", "co_exceptiontable"),
)
_libc, _python = ctypes.PyDLL(None), ctypes.pythonapi
_size = ctypes.c_size_t


def align() -> None:
    """Begin new memory at the boundary of a large page; to be called before all else."""
    with contextlib.suppress(AttributeError):  # other C libraries have none
        _libc.mallopt(_TOP_PAD, HUGE)
    top = _called(_libc.sbrk, 0)
    _called(_libc.sbrk, -top % HUGE)
    _map(_map(1) % HUGE or HUGE)  # each mapping comes to lie below the last


def settle() -> None:
    """Prepare all that lives now; the process goes on as before."""
    gc.collect()
    make_immortal()
    gc.freeze()
    gc.disable()
    with contextlib.suppress(AttributeError):
        _libc.malloc_trim(0)
    fill_gaps()
    enlarge_text_pages()
    enlarge_data_pages()


def make_immortal() -> None:
    """Give every object that now lives the reference count of `None`, where that is immortal.

    Reference counts of immortal objects are never written (PEP 683). On Python before 3.12, and on
    builds whose objects look otherwise, nothing is done.
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


def fill_gaps() -> None:
    """Use up the free memory between old objects, so that new ones come to lie together."""
    top, size = _called(_libc.malloc, _ANY_HEAP_GAP), _ANY_HEAP_GAP
    _called(_libc.free, top)
    while size > _LARGEST_POOLED:
        _use_up(_libc.malloc, _libc.free, size, lambda _, block: block >= top)
        size = min(size * 4 // 5, size - _STEP)
    for size in range(_STEP, _LARGEST_POOLED + 1, _STEP):
        _use_up(_python.PyObject_Malloc, _python.PyObject_Free, size, _begin_a_pool)


def _use_up(allocate: Any, free: Any, size: int, are_new: Callable[[int, int], bool]) -> None:
    """Allocate blocks of a size until the last two, or one, are new memory; give back the last."""
    before = 0
    for _ in range(HUGE // size):
        block = _called(allocate, size)
        if are_new(before, block):
            _called(free, block)
            return
        before = block


def _begin_a_pool(first: int, second: int) -> bool:
    """Whether two blocks are the first of a pool, one behind the other, as in a pool just begun."""
    return first % _POOL == _POOL_HEADER and 0 < second - first <= _LARGEST_POOLED


def enlarge_text_pages() -> None:
    """Map the interpreter's code from a private copy in large pages.

    A fork maps such a copy in the child as well: there are no faults, and little to unmap.
    """
    for start, end in _blocks("r-xp", "r--p"):
        length = end - start
        area = _map(length + HUGE)
        copy = area + -area % HUGE
        _called(_libc.madvise, copy, length, _ADVISE_HUGE)
        ctypes.memmove(copy, start, length)
        if (
            _called(_libc.madvise, copy, length, _COLLAPSE) == 0
            and _called(_libc.mprotect, copy, length, _READ_EXECUTE) == 0
        ):
            _called(_libc.mremap, copy, length, length, _MOVE_THERE, start)
        _called(_libc.munmap, area, length + HUGE)


def enlarge_data_pages() -> None:
    """Have the kernel gather what is written into large pages."""
    for start, end in _blocks("rw-p"):
        for block in range(start, end, HUGE):
            _called(_libc.madvise, block, HUGE, _COLLAPSE)


def _blocks(*kinds: str) -> list[tuple[int, int]]:
    """`(start, end)` of runs of whole large pages, mapped with these rights: read-only files, or
    private memory."""
    runs: list[list[int]] = []
    with open("/proc/self/maps", encoding="ascii", errors="replace") as maps:
        for line in maps:
            where, rights, _, _, _, *path = line.split()
            of_file = bool(path) and path[0].startswith("/")
            if rights not in kinds or of_file == ("w" in rights) or path == ["[stack]"]:
                continue
            start, end = (int(number, 16) for number in where.split("-"))
            if runs and runs[-1][1] == start:
                runs[-1][1] = end
            else:
                runs.append([start, end])
    blocks = [(start + -start % HUGE, end - end % HUGE) for start, end in runs]
    return [(start, end) for start, end in blocks if start < end]


def _map(length: int) -> int:
    area = _called(_libc.mmap, 0, length, _READ_WRITE, _PRIVATE_ANONYMOUS, -1, 0)
    if area == _size(-1).value:
        raise MemoryError(f"no {length} bytes could be mapped")
    return area


def _called(function: Any, *arguments: int) -> int:
    """The result of a C function of sizes and addresses."""
    function.restype = _size
    return function(*map(_size, arguments))
