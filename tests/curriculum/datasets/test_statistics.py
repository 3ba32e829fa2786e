"""Counts over published data sets, compared with recorded ones (`golden_counts.json`).

After a change that is meant to change them, `python tests/curriculum/datasets/test_statistics.py`
writes the file anew, from the data in the folder that STEPCODER_DATA names.
"""

import json
import os
from pathlib import Path

import pytest

from curriculum.datasets.registry import Skipped, read_source
from curriculum.datasets.statistics import count
from curriculum.start_points import START_POINT_KINDS

GOLDEN = Path(__file__).with_name("golden_counts.json")
DATA = Path(os.environ.get("STEPCODER_DATA", Path(__file__).parents[4] / "shared" / "data"))
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
        "tiers": {tier: tally.summary() for tier, tally in counts.items()},
        "left_out": skipped.counts,
    }


@pytest.mark.parametrize("name", SETS)
def test_counts_of_published_data_sets_are_as_recorded(name):
    if not (DATA / SETS[name]).exists():
        pytest.skip(f"{DATA / SETS[name]} is absent; point STEPCODER_DATA at a folder that has it")
    assert counted(name) == json.loads(GOLDEN.read_text())[name]


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({name: counted(name) for name in SETS}, indent=1) + "\n")
