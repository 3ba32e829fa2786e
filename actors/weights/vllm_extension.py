"""What vLLM imports in each engine process (`worker_extension_cls`), before the model is loaded.

Importing this module does the two things an engine process of ours needs:

- it registers the `gloo` backend of the weight broadcast with vLLM's factory;
- it ties the process's life to its parent's: an engine whose actor was killed would go on holding
  memory (or a GPU) that the actor's successor needs.
"""

from __future__ import annotations

import os
import select
import threading

import actors.weights.receiver  # noqa: F401  registers the backend

EXTENSION = f"{__name__}.RolloutExtension"


class RolloutExtension:
    """Mixed into vLLM's worker; adds nothing, the import of its module is what counts."""


def _die_with(parent: int) -> None:
    """Wait for the process `parent` to end, then end this one at once."""
    try:
        descriptor = os.pidfd_open(parent)
    except ProcessLookupError:
        os._exit(1)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.poll()
    os._exit(1)


threading.Thread(target=_die_with, args=(os.getppid(),), daemon=True, name="die-with").start()
