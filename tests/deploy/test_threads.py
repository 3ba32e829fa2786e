"""Threads of a command: as many as there are idle cores."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from deploy.threads import free_cores, use_free_cores


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine of four cores, of which three are idle; the control group's file."""
    monkeypatch.setattr(psutil, "cpu_percent", lambda _s, percpu: [0.0, 97.0, 4.0, 1.0])
    monkeypatch.setattr(psutil.Process, "cpu_affinity", lambda _self: [0, 1, 2, 3])
    return tmp_path / "cpu.max"


def test_busy_cores_get_no_thread(four_cores: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert free_cores(cpu_max=four_cores) == 3
    monkeypatch.setattr(psutil.Process, "cpu_affinity", lambda _self: [0, 1])
    assert free_cores(cpu_max=four_cores) == 1
    monkeypatch.setattr(psutil, "cpu_percent", lambda _s, percpu: [100.0] * 4)
    assert free_cores(cpu_max=four_cores) == 1, "never none"


def test_a_control_group_bounds_them(four_cores: Path) -> None:
    four_cores.write_text("200000 100000\n")
    assert free_cores(cpu_max=four_cores) == 2
    four_cores.write_text("max 100000\n")
    assert free_cores(cpu_max=four_cores) == 3


def test_threads_that_wait_do_not_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    try:
        assert use_free_cores() == 1, "what the environment says decides"
        assert torch.get_num_threads() == 1
        assert os.environ["OMP_WAIT_POLICY"] == "passive"
    finally:
        torch.set_num_threads(before)
        os.environ.pop("OMP_WAIT_POLICY")
