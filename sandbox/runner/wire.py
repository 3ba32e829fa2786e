"""The protocol between host and runner: message layouts and sizes; used at both ends."""

import struct
from typing import NamedTuple

HELLO = struct.Struct("<I")
"""Length of the JSON object that the runner sends first; see `server.main`."""
MAX_HELLO_BYTES = 4096

REQUEST = struct.Struct("<dIII?I")
"""The fields of `WireLimits`; length of the job, which follows as JSON."""
CANCEL = REQUEST.pack(0, 0, 0, 0, False, 0)
"""In place of a request: kill the program that runs now, if one does."""
REPLY = struct.Struct("<?idd????II")
"""The fields of `sandbox.channel.ProcessExit`; lengths of the hits and of the records, which follow
in this order."""

HITS_BYTES = 1 << 16
"""One byte per statement; statements past the last byte are not recorded."""
MAX_RECORDS_BYTES = 64 << 20
OUTPUT_LIMIT_STATUS = 93
"""Exit status of a child whose records are full."""


class WireLimits(NamedTuple):
    """The limits of one run, as `REQUEST` carries them."""

    wall_seconds: float
    cpu_seconds: int
    memory_mib: int
    output_kib: int
    coverage: bool
    """Whether to record executed statements."""

    def max_records(self, job_bytes: int) -> int:
        """Bytes that the records of a job of this length may have."""
        # Output, and beside it the statements' positions and the errors, which grow with the job.
        return min(MAX_RECORDS_BYTES, (self.output_kib << 10) + 16 * job_bytes)
