"""A Ray cluster whose execution nodes are in network namespaces of their own."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from deploy.cluster.authentication import auth_token, ray_command
from deploy.cluster.polling import poll
from tests.deploy.cluster.network_namespaces import Network, site_address
from tests.docs.commands import block_commands

STORE = str(120 << 20)
HEAD = site_address(1)
START_S = 90.0


class SeparateNodes:
    """A head without work, nodes with processors, and execution nodes apart.

    Head and nodes with processors are the site of a `Network`, by an address each. An execution
    node reaches the head's address and no other.
    """

    def __init__(self, folder: Path) -> None:
        """Start nothing yet; Ray's files go below `folder`, whose path must be short."""
        self.network = Network(addresses=3)
        self.address = f"{HEAD}:6379"
        self.dashboard = f"http://{HEAD}:8265"
        self._folder = folder
        self._nodes: list[tuple[subprocess.Popen[bytes], Path, int]] = []
        """The process of each node, its output, and the port of its agent."""

    def start_head(self) -> None:
        """Start a head without work, and wait until it answers."""
        self._start("site", HEAD, _documented()[0], f"--dashboard-host={HEAD}", "--num-cpus=0")
        self.wait()

    def start_node(self, number: int, cpus: int) -> None:
        """Start a node with processors at address `number` of the site."""
        self._start("site", site_address(number), _documented()[1], f"--num-cpus={cpus}")

    def start_execution_node(self, name: str) -> None:
        """Start a node for four sandbox workers in a namespace of its own."""
        self._start(name, self.network.add(name, sees=1), _documented()[2], "--num-cpus=0")

    def wait(self) -> None:
        """Wait until every node is up, with the agent that takes jobs.

        Raises:
            AssertionError: one ended instead; with what it printed.
            TimeoutError: one is neither up nor has ended.
        """

        def is_up(node: subprocess.Popen[bytes], log: Path, port: int) -> bool:
            return "Ray runtime started" in log.read_text() and _listens(node.pid, port)

        def all_up() -> bool:
            for node, log, _ in self._nodes:
                assert node.poll() is None, log.read_text()
            return all(is_up(*each) for each in self._nodes)

        poll(all_up, START_S, interval_s=0.1)

    def submit(
        self, *command: str, place: str = "site", options: Sequence[str] = ()
    ) -> subprocess.Popen[str]:
        """`ray job submit`, which follows the job's output."""
        submit = ("job", "submit", "--address", self.dashboard, *options, "--", *command)
        return subprocess.Popen(
            self._command(place, *submit), env=self.environment(), cwd="/", text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def environment(self) -> dict[str, str]:
        """Of every node and client."""
        inherited = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
        return inherited | {
            "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": auth_token(), "RAY_ADDRESS": self.address,
            "PYTHONUNBUFFERED": "1", "RAY_USAGE_STATS_ENABLED": "0",
        }  # fmt: skip

    def close(self) -> None:
        """Kill every process of the cluster."""
        self.network.close()
        for node, _, _ in self._nodes:
            node.wait()

    def _start(self, place: str, address: str, line: Sequence[str], *options: str) -> None:
        number = len(self._nodes)
        log, port = self._folder / f"node-{number}.log", 20000 + 10 * number
        environment = self.environment()
        del environment["RAY_ADDRESS"]
        command = self._command(
            place, *line, *options, "--block", f"--node-ip-address={address}",
            f"--object-store-memory={STORE}", "--disable-usage-stats",
            # Nodes that start at the same time in one folder would choose the same names in it.
            f"--temp-dir={self._folder}/{number}",
            # Several nodes of the site have one set of ports.
            f"--dashboard-agent-listen-port={port}", f"--dashboard-agent-grpc-port={port + 1}",
            f"--metrics-export-port={port + 2}", f"--runtime-env-agent-port={port + 3}",
            "--min-worker-port=0", "--max-worker-port=0",
        )  # fmt: skip
        with log.open("wb") as output:
            node = subprocess.Popen(
                command, env=environment, cwd="/", stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._nodes.append((node, log, port))

    def _command(self, place: str, *arguments: str) -> list[str]:
        return [*self.network.inside(place), ray_command(), *arguments]


@cache
def _documented() -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
    """The arguments of `ray` on the page about clusters: for head, node and execution node."""
    page = [each for each in block_commands() if each.page == Path("docs/cluster.md")]
    starts = [each.arguments for each in page if "ray start" in each.text]
    head, node, execution = (
        [word.replace("HEAD:", f"{HEAD}:") for word in words] for words in starts
    )
    return head, node, execution


def _listens(pid: int, port: int) -> bool:
    """Whether somebody listens at the port in the namespace of a process."""
    table = "".join(Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6"))
    return re.search(rf":{port:04X} [0-9A-F]+:0000 0A ", table) is not None


@contextmanager
def separate_nodes(folder: Path) -> Iterator[SeparateNodes]:
    """Such a cluster with its head; ends with the context."""
    nodes = SeparateNodes(folder)
    try:
        nodes.start_head()
        yield nodes
    finally:
        nodes.close()
