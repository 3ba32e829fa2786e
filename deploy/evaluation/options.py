"""The options of `stepcoder eval`, checked before anything is read or started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from curriculum.datasets.reading.format import ReadOptions
from deploy.errors import ConfigError


@dataclass(frozen=True)
class Options:
    """What to evaluate and how, as given on the command line."""

    model: str | None
    suites: tuple[str, ...]
    samples: int
    temperature: float
    """0 is greedy."""
    top_p: float
    ks: tuple[int, ...]
    max_new_tokens: int
    limit: int | None
    out: Path | None
    resume: bool
    overwrite: bool
    generate_only: bool
    judge: Path | None
    """File of samples to judge instead of generating any."""
    dtype: str
    reading: ReadOptions
    """Release and dates of the suites that have them."""


def checked_options(
    *,
    model: str | None,
    suites: list[str],
    samples: int,
    temperature: float | None,
    top_p: float,
    greedy: bool,
    k: str,
    max_new_tokens: int,
    limit: int | None,
    out: Path | None,
    resume: bool,
    overwrite: bool,
    generate_only: bool,
    judge: Path | None,
    dtype: str,
    reading: ReadOptions,
) -> Options:
    """The options, or the first thing that is wrong with them.

    Raises:
        ConfigError: names the option and the remedy.
    """
    if not suites:
        raise ConfigError("--suite: name at least one suite or file")
    if (model is None) == (judge is None):
        raise ConfigError("give either --model, or --judge FILE for samples that exist")
    if judge is not None and generate_only:
        raise ConfigError("--judge and --generate-only exclude each other")
    if resume and overwrite:
        raise ConfigError("--resume and --overwrite exclude each other")
    counts = {"samples": samples, "max-new-tokens": max_new_tokens, "limit": limit}
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ConfigError(f"--{name} {count}: must be at least 1")
    if judge is not None:
        _check_judged(judge)
        sampling = {
            "--samples": samples != 1,
            "--temperature": temperature is not None,
            "--top-p": top_p != 1,
            "--greedy": greedy,
        }
        if drawn := [name for name, given in sampling.items() if given]:
            raise ConfigError(
                f"--judge and {', '.join(drawn)} exclude each other: the file's samples are judged "
                f"as they are"
            )
    if not 0 < top_p <= 1:
        raise ConfigError(f"--top-p {top_p:g}: is not above 0 and at most 1")
    if temperature is not None and not 0 <= temperature <= 2:
        raise ConfigError(f"--temperature {temperature:g}: is not within 0 and 2")
    if greedy and temperature:
        raise ConfigError("--greedy and --temperature exclude each other")
    if samples > 1 and not temperature:
        raise ConfigError(
            f"--samples {samples}: greedy samples are all alike; give --temperature, such as 0.8 "
            f"for pass@k, or 0.2 for pass@1"
        )
    if not temperature and top_p < 1:
        raise ConfigError("--top-p: is for sampling; give --temperature too")
    ks = _ks(k)
    if judge is None and max(ks) > samples:
        raise ConfigError(
            f"--k {max(ks)}: pass@{max(ks)} needs at least {max(ks)} samples of each problem, and "
            f"--samples is {samples}"
        )
    return Options(
        model=model,
        suites=tuple(suites),
        samples=samples,
        temperature=temperature or 0.0,
        top_p=top_p,
        ks=ks,
        max_new_tokens=max_new_tokens,
        limit=limit,
        out=out,
        resume=resume,
        overwrite=overwrite,
        generate_only=generate_only,
        judge=judge,
        dtype=dtype,
        reading=reading,
    )


def _check_judged(path: Path) -> None:
    if path.is_dir():
        raise ConfigError(f"--judge {path}: a folder; give the file of samples in it")
    if not path.exists():
        raise ConfigError(f"--judge {path}: no such file")
    if not path.is_file():
        raise ConfigError(
            f"--judge {path}: not a regular file; write the samples to one: --resume reads it again"
        )


def _ks(text: str) -> tuple[int, ...]:
    try:
        ks = tuple(sorted({int(word) for word in text.split(",")}))
    except ValueError:
        raise ConfigError(f"--k {text}: expected numbers separated by commas") from None
    if ks[0] < 1:
        raise ConfigError(f"--k {text}: every k must be at least 1")
    return ks
