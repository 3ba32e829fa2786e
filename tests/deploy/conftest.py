"""One undisturbed run for the whole session: `make local-cluster`'s command on a small profile.

The tests of the local cluster assert on what it showed; the tests of resuming and of chaos compare
their runs with it. A job that is killed and resumed runs on the same cluster.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.cluster.local import running_cluster
from tests.deploy.local_run import SMALL, Cluster


@pytest.fixture(scope="session")
def local_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A local cluster whose first run, `small`, has finished undisturbed."""
    if running_cluster():
        pytest.skip("a local cluster of this checkout is running: make local-cluster-down")
    folder = tmp_path_factory.mktemp("local-cluster")
    profile = folder / "small.yaml"
    profile.write_text(f"{SMALL.read_text()}runs_dir: {folder / 'runs'}\n")
    cluster = Cluster(folder / "runs", profile)
    cluster.interrupted = cluster.interrupt()
    process = cluster.up()
    try:
        while process.poll() is None:
            time.sleep(1)
            if running := running_cluster():
                cluster.scrape(running)
                cluster.watch(running)
        assert process.stdout is not None
        cluster.output = process.stdout.read()
        cluster.status = process.returncode
        yield cluster
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=120)
        if cluster.prometheus is not None:
            cluster.prometheus.stop()
        left_behind = cluster.down()
    assert left_behind == [], "`local-cluster down` left something behind"


@pytest.fixture(scope="session")
def undisturbed(local_cluster: Cluster) -> Path:
    """The folder of the finished undisturbed run."""
    assert local_cluster.status == 0, local_cluster.output
    return local_cluster.runs / "small"
