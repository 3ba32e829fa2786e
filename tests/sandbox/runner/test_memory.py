"""The runner's preparation of its own memory, in processes of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

PREPARED = "from sandbox.runner import memory\nmemory.align()\nimport json, re, os\n"
LARGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def output_of(program: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", PREPARED + program],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_a_process_and_its_child_work_as_before() -> None:
    work = (
        "print(len(json.dumps([{'a': list(range(10**5))}])), re.sub('b', 'c', 'abc'), flush=True)"
    )
    forked = "pid = os.fork()\nif pid: assert os.waitpid(pid, 0)[1] == 0\n"
    printed = output_of(f"memory.settle()\n{work}\n{forked}{work}\n")
    assert printed == "688899 acc\n" * 3


@pytest.mark.parametrize("size", [100, 400, 700])
def test_new_objects_lie_on_few_pages_once_gaps_are_filled(size: int) -> None:
    gaps = (
        f"old = [bytes({size}) for _ in range(20_000_000 // {size})]\ndel old[::20]\n"
        "def pages():\n"
        f"    return len({{id(item) >> 12 for item in [bytes({size}) for _ in range(20)]}})\n"
    )
    measured = output_of(gaps + "gapped = pages()\nmemory.fill_gaps()\nprint(gapped, pages())")
    gapped, filled = map(int, measured.split())
    assert filled <= 20 * (size + 64) / 4096 + 2
    assert gapped > 1.5 * filled


@pytest.mark.skipif(
    not LARGE_PAGES.exists() or "[never]" in LARGE_PAGES.read_text(),
    reason="this kernel has no large pages, or they are switched off",
)
def test_code_lies_in_large_pages() -> None:
    printed = output_of(
        "blocks = memory._blocks('r-xp', 'r--p')\nmemory.enlarge_text_pages()\n"
        "left = memory._blocks('r-xp', 'r--p')\nprint(len(blocks), len(left))\n"
    )
    before, after = map(int, printed.split())
    assert before == 0 or after < before
