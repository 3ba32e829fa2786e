"""Published data sets, counted by tier and start points, against figures that stand in a file.

After a change that is meant to move them: `python tests/curriculum/test_golden_counts.py` writes
the file anew, from the data that STEPCODER_DATA names.
"""

import json
import os
from pathlib import Path

import pytest

from curriculum.datasets.registry import Skipped, read_source
from curriculum.datasets.statistics import count
from curriculum.start_points import START_POINT_KINDS

GOLDEN = Path(__file__).with_name("golden_counts.json")
DATA = Path(os.environ.get("STEPCODER_DATA", Path(__file__).parents[3] / "shared" / "data"))
SETS = {
    "mbpp": "mbpp/mbpp.jsonl",
    "mbpp_apps_plus": "mbpp/mbpp.appsplus.jsonl",
    "human_eval": "humaneval/HumanEval.jsonl.gz",
    "apps_sample": "apps_sample",
}


def counted(name):
    skipped = Skipped()
    counts = count(read_source(DATA / SETS[name], skipped=skipped), frozenset(START_POINT_KINDS))
    return {
        "tiers": {tier: found.summary() for tier, found in counts.items()},
        "left_out": skipped.counts,
    }


@pytest.mark.parametrize("name", SETS)
def test_counts_are_as_they_stand_in_the_golden_file(name):
    if not (DATA / SETS[name]).exists():
        pytest.skip(f"{DATA / SETS[name]} is absent; point STEPCODER_DATA at a folder that has it")
    assert counted(name) == json.loads(GOLDEN.read_text())[name]


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({name: counted(name) for name in SETS}, indent=1) + "\n")
