"""The tables of `stepcoder plan`."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from deploy.plan.device_plan import STEPS, DevicePlan
from deploy.plan.memory import Parts
from deploy.plan.run_plan import RunPlan
from deploy.plan.speed import ASSUMPTIONS

_GIB = 1 << 30


def print_plan(plan: RunPlan, console: Console | None = None) -> None:
    """Print memory by role, then each device, then what to change first where it does not fit."""
    console = console or Console(width=120, highlight=False)
    counts = ", ".join(f"{count} {role}" for role, count in plan.counts.items() if count)
    console.print(f"policy of {_number(plan.parameters)} parameters; {counts}")
    if plan.gpu:
        _print_parts(console, "memory of one GPU of each role [GiB]",
                     {"learner rank": plan.learner, "engine": plan.engine})  # fmt: skip
    _print_parts(console, "memory of the host, for one of each role [GiB]", plan.hosts)
    console.print(_devices(plan))
    for device in plan.devices:
        if not device.fits:
            _print_remedies(console, device)
    _print_notes(console, plan)


def _print_parts(console: Console, title: str, by_role: dict[str, Parts]) -> None:
    table = _table(title)
    table.add_column("part")
    for role in by_role:
        table.add_column(role, justify="right")
    names = dict.fromkeys(name for parts in by_role.values() for name in parts)
    for name in names:
        sizes = [parts.get(name, 0) for parts in by_role.values()]
        if any(sizes):
            table.add_row(name, *(_gib(size) for size in sizes))
    table.add_section()
    table.add_row("total", *(_gib(sum(parts.values())) for parts in by_role.values()), style="bold")
    console.print(table)


def _devices(plan: RunPlan) -> Table:
    table = _table("devices")
    table.add_column("")
    for device in plan.devices:
        table.add_column(device.name, justify="right")
    learner = sum(plan.learner.values())
    rows: dict[str, list[str]] = {
        "learner rank": [_room(learner, d.memory, d.learner_fits) for d in plan.devices],
        "engine": [_engine(d) for d in plan.devices],
        "KV cache": [f"{_gib(d.kv_cache) or 0} GiB" for d in plan.devices],
        "whole sequences in it": [f"{d.concurrency:,}" for d in plan.devices],
    }
    if any(device.optimizer_on_host for device in plan.devices):
        places = ["host" if d.optimizer_on_host else "GPU" for d in plan.devices]
        rows["optimizer while engines generate"] = places
    for stage in ("rollout", "learn", "broadcast", "step"):
        values = [getattr(d.seconds, stage) if d.seconds else None for d in plan.devices]
        rows[f"seconds, {stage}"] = [_number(value) for value in values]
    rows["longest stage"] = [d.seconds.longest_stage if d.seconds else "-" for d in plan.devices]
    rows[f"sandbox slots that keep up (there are {plan.slots})"] = [
        _number(d.slots) for d in plan.devices
    ]
    if any(device.cost is not None for device in plan.devices):
        rows[f"cost of {STEPS:,} steps"] = [_number(d.cost) for d in plan.devices]
    for name, cells in rows.items():
        table.add_row(name, *cells)
    return table


def _room(size: int, memory: int | None, fits: bool) -> str:
    if memory is None:
        return "fits"
    return f"{'fits' if fits else 'DOES NOT FIT'}: {_gib(size)} of {_gib(memory)} GiB"


def _engine(device: DevicePlan) -> str:
    word = "fits" if device.engine_fits else "DOES NOT FIT"
    share = device.engine_share
    return word if share is None else f"{word}: {share:.0%} of the GPU"


def _print_remedies(console: Console, device: DevicePlan) -> None:
    if not device.remedies:
        console.print(f"{device.name}: no change of the configuration that was tried makes it fit: "
                      "take a larger GPU or a smaller model")  # fmt: skip
        return
    console.print(f"{device.name}: it fits with")
    for remedy in device.remedies:
        learns = " (changes what is learned)" if remedy.learns_otherwise else ""
        console.print(f"  {' '.join(remedy.overrides)}{learns}")


def _print_notes(console: Console, plan: RunPlan) -> None:
    if plan.measured:
        console.print(f"seconds are means of the steps of {plan.measured}")
    elif any(device.seconds for device in plan.devices):
        listed = "; ".join(f"{name}: {value:g}" for name, value in ASSUMPTIONS.items())
        console.print(
            f"seconds are estimates, not measured, from data sheets and: {listed}", markup=False
        )
    if any(device.seconds is None and device.fits for device in plan.devices):
        console.print("-: nothing is known of this device's speed; --run FOLDER takes the seconds "
                      "of a run")  # fmt: skip
    console.print(
        f"a step: {plan.load.samples:,} completions of {plan.load.completion_tokens:.0f} tokens on "
        f"average, prompts of {plan.load.prompt_tokens:.0f}; a program takes a slot for "
        f"{plan.program_s:.3g} s"
    )


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=box.ROUNDED)


def _gib(size: int) -> str:
    if not size:
        return ""
    if size < 0.01 * _GIB:
        return "< 0.01"
    return f"{size / _GIB:.2f}" if size < _GIB else f"{size / _GIB:.1f}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if abs(value) >= 1e6:
        return f"{value / 1e9:.2f} B" if abs(value) >= 1e9 else f"{value / 1e6:.1f} M"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
