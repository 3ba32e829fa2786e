"""Memory shared by server and child, which receives a program's results and survives its death."""

import mmap
import struct

from .wire import HITS_BYTES, MAX_RECORDS_BYTES

_LENGTH = struct.Struct("<Q")
_RECORDS_AT = HITS_BYTES + _LENGTH.size
_CLEAR_STEP = 1 << 20


class OutputLimit(BaseException):
    """The records are full; not an Exception, so that programs rarely catch it."""


class ResultMemory:
    """One mapping for all runs: a byte per statement, the records' length, the records.

    The child writes and the server reads, after the child's death: neither needs a lock, and
    results are there however the child died. The child could write anything anywhere in it.
    """

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, _RECORDS_AT + MAX_RECORDS_BYTES)
        self.max_records = MAX_RECORDS_BYTES
        self.hits = memoryview(self.memory)[:HITS_BYTES]

    def clear(self) -> None:
        """Set every byte to zero, so that the next run finds nothing of this one."""
        try:
            # Gives the pages back to the kernel, which maps zeros when they are touched again: the
            # cost is that of the pages used, not of the 64 MiB.
            self.memory.madvise(mmap.MADV_REMOVE)
        except OSError:  # the kernel has no such call: overwrite
            self.memory.seek(0)
            while self.memory.tell() < len(self.memory):
                self.memory.write(bytes(min(_CLEAR_STEP, len(self.memory) - self.memory.tell())))

    def append(self, kind: str, index: int, text: str) -> None:
        """Add one record; called in the child.

        Raises:
            OutputLimit: the records would have more than `max_records` bytes.
        """
        line = f"{kind} {index} {text}\n".encode("utf-8", "backslashreplace")
        (length,) = _LENGTH.unpack_from(self.memory, HITS_BYTES)
        if length + len(line) > self.max_records:
            raise OutputLimit
        start = _RECORDS_AT + length
        self.memory[start : start + len(line)] = line
        # The length last: a death between the two leaves whole records only.
        _LENGTH.pack_into(self.memory, HITS_BYTES, length + len(line))

    def read(self, max_hits: int, max_records: int) -> tuple[bytes, bytes]:
        """The hits, trailing zeros left out, and the records; called in the server.

        `max_hits` and `max_records` bound both [bytes]: the child may have written any length.
        """
        hits = self.memory[: min(max_hits, HITS_BYTES)]
        (length,) = _LENGTH.unpack_from(self.memory, HITS_BYTES)
        records = self.memory[_RECORDS_AT : _RECORDS_AT + min(length, max_records)]
        return hits[: hits.rfind(b"\1") + 1], records
