"""A simulated cluster for a user who has never started Ray."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
START = "from deploy.cluster.simulated import simulated_cluster\nwith simulated_cluster(): pass"


@pytest.mark.integration
def test_the_first_simulated_cluster_of_a_user_makes_the_token(tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", START],
        cwd=ROOT,
        env={**os.environ, "HOME": str(tmp_path), "RAY_AUTH_MODE": "token"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / ".ray" / "auth_token").exists()
