"""One run of a compiled program as `__main__`, from its first statement to its exit status."""

import atexit
import builtins
import gc
import signal
import sys
import types
from collections.abc import Callable
from operator import methodcaller
from typing import Any

from .recursion import RecursionDepth
from .streams import open_standard_streams

PATH = "/program.py"
"""`__file__`. There is no such file."""
_SWITCH_S = 0.005
"""How long a thread may keep the GIL that another one waits for [s]: CPython's default."""
FLUSH_FAILED = 120
"""Exit status of an interpreter that could not flush its standard streams."""

# Bound here, because a program may replace them.
_run_exit_functions = atexit._run_exitfuncs  # pyright: ignore[reportPrivateUsage]
_collect, _signal, _raise_signal = gc.collect, signal.signal, signal.raise_signal


def make_module(name: str) -> dict[str, Any]:
    """A new module in `sys.modules`, with what a script finds in its own; returns its namespace."""
    module: Any = types.ModuleType(name)
    module.__loader__ = _SourceLoader(name, PATH)
    module.__annotations__ = {}
    module.__builtins__ = builtins
    module.__file__ = PATH
    module.__cached__ = None
    sys.modules[name] = module
    return module.__dict__


def run_program(
    code: types.CodeType, depth: RecursionDepth, report: Callable[[BaseException], None]
) -> int:
    """Run the program as the interpreter does; returns the status with which it exits.

    `report` is told of the exception that ends it, if one does. This process must exit afterwards.
    """
    open_standard_streams()
    status, interrupted = 0, False
    try:
        namespace = make_module("__main__")
        depth.begin()
        exec(code, namespace)
    except BaseException as error:
        status = _status_of(error)
        if status:
            report(error)
        interrupted = isinstance(error, KeyboardInterrupt)
    namespace = {}
    status = _shut_down(status)
    if interrupted:
        _signal(signal.SIGINT, signal.SIG_DFL)
        _raise_signal(signal.SIGINT)
    return status


def _status_of(error: BaseException) -> int:
    """The exit status for what the program raised; prints it, where anybody could see that."""
    stderr = sys.stderr
    if isinstance(error, SystemExit):
        code = error.code
        if code is None:
            return 0
        if isinstance(code, int):
            # Truncated to what a process can return; -1 where it does not fit into a C long.
            return code & 0xFF if -(1 << 63) <= code < 1 << 63 else 0xFF
        if stderr is not sys.__stderr__ and stderr is not None:
            _quietly(print, code, file=stderr)
        return 1
    # The usual traceback on the usual stderr goes nowhere, and costs more than most programs.
    if sys.excepthook is not sys.__excepthook__ or stderr is not sys.__stderr__:
        try:
            sys.excepthook(type(error), error, error.__traceback__)
        except SystemExit as stop:
            return _status_of(stop)
        except BaseException:
            pass
    return 1


def _shut_down(status: int) -> int:
    """Do what an interpreter does when it exits, in its order; returns the exit status."""
    threading = sys.modules.get("threading")
    if threading is not None:
        # Ends thread pools, and waits for all threads that are not daemons.
        _quietly(threading._shutdown)
    _quietly(_run_exit_functions)
    if threading is not None:
        # Daemon threads stay until the process ends. This thread, which leaves the GIL to them
        # whenever it writes, gets it back even if they are busy and the program has set another.
        sys.setswitchinterval(_SWITCH_S)
    flushed = _flush()
    # The program's own objects end: `__del__` and the callbacks of weak references may print.
    for name in ("stdin", "stdout", "stderr"):
        setattr(sys, name, getattr(sys, f"__{name}__", None))
    sys.modules.pop("__main__", None)
    _collect()
    _flush()
    return status if flushed else FLUSH_FAILED


def _flush() -> bool:
    """Flush stdout and stderr; False if one of them cannot be flushed."""
    flushed = True
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name, None)
        try:
            closed = stream is None or bool(stream.closed)
        except BaseException:
            closed = False
        if not closed:
            flushed &= _quietly(methodcaller("flush"), stream)
    return flushed


def _quietly(call: Callable[..., Any], *arguments: Any, **keywords: Any) -> bool:
    """Call it; False if it raised anything."""
    try:
        call(*arguments, **keywords)
    except BaseException:
        return False
    return True


_SourceLoader: Any = sys.modules["_frozen_importlib_external"].SourceFileLoader
