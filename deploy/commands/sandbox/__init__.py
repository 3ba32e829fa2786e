"""`stepcoder sandbox`: one module per command."""

from cyclopts import App

app = App(
    name="sandbox",
    help_epilogue="""\
Examples:
  stepcoder sandbox run program.py --tests tests.json --fn solve
  stepcoder bench sandbox --quick""",
)
app.command(
    "deploy.commands.sandbox.run:app",
    name="run",
    help="Run a program on its tests; print verdict and executed lines.",
)
