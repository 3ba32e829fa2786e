"""`python -m deploy ...` is `stepcoder ...`, for `ray job submit`."""

from deploy.cli import main

raise SystemExit(main())
