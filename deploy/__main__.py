"""The program `stepcoder`; `python -m deploy ...` is the same, for `ray job submit`."""

import signal


def main() -> int:
    """Run the command line; returns its exit status."""
    # Nothing is started before its modules are loaded: until then Ctrl-C ends the process at once,
    # without a traceback of whatever module is being imported.
    loading = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if loading:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from deploy import cli

    if loading:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return cli.main()


if __name__ == "__main__":
    raise SystemExit(main())
