"""`stepcoder eval`: a model, or samples in a file, on suites of problems."""

from __future__ import annotations

from cyclopts import App

from deploy.commands.eval.compare import app as compare
from deploy.commands.eval.evaluate import evaluate

app = App(
    name="eval",
    help_epilogue="""\
Examples:
  stepcoder eval --model models/qwen --suite humaneval mbpp --greedy
  stepcoder eval --model models/qwen --suite humaneval \\
      --samples 20 --temperature 0.8 --k 1,10
  stepcoder eval --model runs/smoke --suite synthetic problems.jsonl
  stepcoder eval --model canonical --suite humaneval      the solutions
  stepcoder eval --model M --suite humaneval --generate-only \\
      --out runs/eval/m
  stepcoder eval --judge samples.jsonl --suite humaneval  given samples
  stepcoder eval compare runs/eval/a runs/eval/b

An interrupted evaluation goes on where it stopped with --resume.""",
)
app.default(evaluate)
app.command(compare)
