"""The memory layout of the process that is forked for every program, which makes forks cheap.

Most of what a small program costs is page work: mapping pages at the fork, copying those that
server or child writes to, unmapping them at exit. So:

- Existing objects become immortal (PEP 683). Otherwise every use of one writes its reference count,
  and with it copies its page.
- The gaps between existing objects are filled. Otherwise a child's new objects are spread over many
  shared pages, and each of these is copied.
- Memory is mapped in large pages, where the kernel has them: one entry to map, copy at the fork and
  unmap instead of 512.

All of it happens once, in the server, before the first fork. None of it is needed for correctness:
where a kernel, C library or Python lacks something, the step is left out.
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
"""Python's own allocator: size of a pool, and offset of the first block in it [bytes]."""
_LARGEST_POOLED, _STEP = 512, 16
"""Python's own allocator serves blocks up to this size, in classes of this step [bytes]."""
_LARGEST_HEAP_BLOCK = 120_000
"""The C library gives blocks from 128 KiB a mapping of their own [bytes]."""
_READ_WRITE, _READ_EXECUTE = 3, 5
_PRIVATE_ANONYMOUS = 0x22
_MOVE_THERE = 3  # MREMAP_MAYMOVE | MREMAP_FIXED
_ADVISE_HUGE, _COLLAPSE = 14, 25
_TOP_PAD, _ARENAS = -2, -8
# What a code object refers to; it does not report these to the collector.
_CODE_PARTS = (
    *("co_consts", "co_names", "co_varnames", "co_freevars", "co_cellvars"),
    *("co_name", "co_qualname", "co_filename", "co_linetable", "co_exceptiontable"),
)
_libc, _python = ctypes.PyDLL(None), ctypes.pythonapi
_size = ctypes.c_size_t


def align() -> None:
    """Make new memory begin at the boundary of a large page; to be called before anything else."""
    with contextlib.suppress(AttributeError):  # other C libraries have none
        _libc.mallopt(_TOP_PAD, HUGE)
        # Otherwise each thread of a program reserves 64 MiB of its address space.
        _libc.mallopt(_ARENAS, 1)
    top = _call(_libc.sbrk, 0)
    _call(_libc.sbrk, -top % HUGE)
    _map(_map(1) % HUGE or HUGE)  # each mapping comes to lie below the last


def settle() -> None:
    """Arrange all that lives now; the process works as before afterwards."""
    gc.collect()
    make_immortal()
    # A collection writes to the header of every object it visits. Frozen objects are not visited,
    # and the server itself never collects; a child collects what it adds (`child.run`).
    gc.freeze()
    gc.disable()
    with contextlib.suppress(AttributeError):
        _libc.malloc_trim(0)
    fill_gaps()
    enlarge_text_pages()
    enlarge_data_pages()


def make_immortal() -> None:
    """Give every existing object the reference count of `None`, which is immortal (PEP 683).

    Does nothing on Python before 3.12 and on builds whose objects have another layout. Nothing is
    freed any more, which does not matter: these objects live as long as the server.
    """
    count = ctypes.c_uint32
    immortal = count.from_address(id(None)).value
    unusual = hasattr(sys, "getobjects") or not getattr(sys, "_is_gil_enabled", lambda: True)()
    if sys.version_info < (3, 12) or immortal < 1 << 31 or unusual:
        return
    # The collector lists containers only; from these, everything else is reached by reference.
    # What is immortal already has been followed (or is the interpreter's own): so this ends.
    reached = gc.get_objects()
    while reached:
        changed: list[object] = []
        for item in reached:
            reference_count = count.from_address(id(item))
            if reference_count.value != immortal:
                reference_count.value = immortal
                changed.append(item)
        reached = gc.get_referents(*changed)
        for item in changed:
            if type(item) is types.CodeType:
                reached += [getattr(item, part) for part in _CODE_PARTS]


def fill_gaps() -> None:
    """Use up the free memory between existing objects, so that new ones lie together.

    The blocks taken are never freed. For each size, from large to small, blocks are allocated until
    the allocator has no gap left and takes new memory.
    """
    top, size = _call(_libc.malloc, _LARGEST_HEAP_BLOCK), _LARGEST_HEAP_BLOCK
    _call(_libc.free, top)
    while size > _LARGEST_POOLED:
        _use_up(_libc.malloc, _libc.free, size, lambda _, block: block >= top)
        size = min(size * 4 // 5, size - _STEP)
    for size in range(_STEP, _LARGEST_POOLED + 1, _STEP):
        _use_up(_python.PyObject_Malloc, _python.PyObject_Free, size, _starts_a_pool)


def _use_up(allocate: Any, free: Any, size: int, are_new: Callable[[int, int], bool]) -> None:
    """Allocate blocks of `size` bytes until `are_new` says so of the last two; free the last."""
    before = 0
    for _ in range(HUGE // size):
        block = _call(allocate, size)
        if are_new(before, block):
            _call(free, block)
            return
        before = block


def _starts_a_pool(first: int, second: int) -> bool:
    """Whether two blocks are the first two of a pool, as only a new pool gives them in a row."""
    return first % _POOL == _POOL_HEADER and 0 < second - first <= _LARGEST_POOLED


def enlarge_text_pages() -> None:
    """Replace the mapping of the interpreter's code by a private copy in large pages.

    A fork gives a child the page table entries of private memory, but not those of a mapped file,
    which it would have to fault in page by page.
    """
    for start, end in _blocks("r-xp", "r--p"):
        length = end - start
        area = _map(length + HUGE)
        copy = area + -area % HUGE
        _call(_libc.madvise, copy, length, _ADVISE_HUGE)
        ctypes.memmove(copy, start, length)
        # Moved over the original only if it did become large and executable: a copy in small pages
        # would cost more than the file.
        if (
            _call(_libc.madvise, copy, length, _COLLAPSE) == 0
            and _call(_libc.mprotect, copy, length, _READ_EXECUTE) == 0
        ):
            _call(_libc.mremap, copy, length, length, _MOVE_THERE, start)
        _call(_libc.munmap, area, length + HUGE)


def enlarge_data_pages() -> None:
    """Have the kernel collect writable memory into large pages."""
    for start, end in _blocks("rw-p"):
        for block in range(start, end, HUGE):
            _call(_libc.madvise, block, HUGE, _COLLAPSE)


def _blocks(*kinds: str) -> list[tuple[int, int]]:
    """`(start, end)` of the runs of whole large pages that are mapped with these rights.

    Read-only mappings count if they are of a file, writable ones if they are not.
    """
    runs: list[list[int]] = []
    with open("/proc/self/maps", encoding="ascii", errors="replace") as maps:
        for line in maps:
            addresses, rights, _, _, _, *path = line.split()
            of_file = bool(path) and path[0].startswith("/")
            if rights not in kinds or of_file == ("w" in rights) or path == ["[stack]"]:
                continue
            start, end = (int(number, 16) for number in addresses.split("-"))
            if runs and runs[-1][1] == start:
                runs[-1][1] = end
            else:
                runs.append([start, end])
    blocks = [(start + -start % HUGE, end - end % HUGE) for start, end in runs]
    return [(start, end) for start, end in blocks if start < end]


def _map(length: int) -> int:
    area = _call(_libc.mmap, 0, length, _READ_WRITE, _PRIVATE_ANONYMOUS, -1, 0)
    if area == _size(-1).value:
        raise MemoryError(f"no {length} bytes could be mapped")
    return area


def _call(function: Any, *arguments: int) -> int:
    """Call a C function whose arguments and result are sizes or addresses."""
    function.restype = _size
    return function(*map(_size, arguments))
