"""`stepcoder data`: one module per command."""

from cyclopts import App

app = App(
    name="data",
    help_epilogue="""\
Examples:
  stepcoder data synth -o problems.jsonl --per-tier 300
  stepcoder data template -o problems.jsonl
  stepcoder data convert mbpp.jsonl -o problems.jsonl --skip-bad
  stepcoder data split problems.jsonl --heldout 0.1 --by tier
  stepcoder data stats problems.jsonl --plot problems.png
  stepcoder data prompt problems.jsonl mbpp/1 --stage 0
  stepcoder data judge problems.jsonl mbpp/1 answer.txt
  stepcoder data verify problems.jsonl -o kept.jsonl --report report.json""",
)
_COMMANDS = {
    "convert": "Read a data set of any format, write our JSONL.",
    "stats": "Count tiers, lengths, start points and stages.",
    "show": "Print one problem with its cut points.",
    "prompt": "Print what the model will see of one problem, its tokens counted.",
    "answer": "Print the program found in a completion.",
    "judge": "Find the program in an answer to a problem, run its tests.",
    "split": "Divide problems into a training and a held-out file.",
    "template": "Write an example of each kind of problem, to start from.",
    "synth": "Write problems of the bundled generator.",
    "verify": "Keep the problems whose solutions pass their tests.",
}
for _position, (_name, _summary) in enumerate(_COMMANDS.items()):
    app.command(f"deploy.commands.data.{_name}:app", name=_name, help=_summary, sort_key=_position)
