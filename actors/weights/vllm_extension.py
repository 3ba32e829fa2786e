"""What vLLM imports in each engine process (`worker_extension_cls`) before it loads the model.

Importing this module has two effects that every engine process needs:

- it registers the `gloo` transport of the weight broadcast with vLLM's factory;
- it ends the process when its parent ends. An engine whose actor was killed would otherwise hold
  the memory (or the GPU) that the restarted actor needs.
"""

from __future__ import annotations

import os
import select
import threading

import actors.weights.receiver  # noqa: F401  registers the transport

EXTENSION = f"{__name__}.RolloutExtension"


class RolloutExtension:
    """Mixed into vLLM's worker. It adds nothing: vLLM imports its module, which is what counts."""


def _exit_with(parent: int) -> None:
    """Wait for the process `parent` to end, then end this one at once."""
    try:
        descriptor = os.pidfd_open(parent)
    except ProcessLookupError:
        os._exit(1)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.poll()
    os._exit(1)  # not sys.exit: this is not the main thread, which may hang in a collective


threading.Thread(target=_exit_with, args=(os.getppid(),), daemon=True, name="exit-with").start()
