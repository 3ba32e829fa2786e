"""Machines of a cluster as network namespaces of this one, for tests that cut a node's network.

A namespace has interfaces, addresses and ports of its own, as a machine has. `Network.site` is the
first: the machines that trust each other, by one address each. Every further namespace reaches one
of these addresses and no other, the rule that a network policy makes for execution nodes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import psutil

from deploy.cluster.polling import poll

SITE = "10.97.0"
"""Prefix of the addresses in the first namespace."""
OUTSIDE = "10.98.0"
"""Prefix of the addresses of the namespaces beside it."""


@cache
def namespaces_missing() -> str | None:
    """Why no network namespace can be made here, with the remedy; None where one can."""
    for tool, package in (("ip", "iproute2"), ("nsenter", "util-linux")):
        if shutil.which(tool) is None:
            return f"no `{tool}` here: apt-get install {package}"
    try:
        Network().close()
    except subprocess.CalledProcessError as error:
        return (
            f"no network namespaces here ({error.stderr.strip()}): run the tests as root, in a "
            "container with --privileged"
        )
    return None


class Network:
    """A namespace with the addresses 10.97.0.1, .2, ..., and namespaces that each see one of them.

    Example:
        network = Network(addresses=3)
        network.add("far", sees=1)      # 10.98.0.1 reaches 10.97.0.1 alone; all reach it
        subprocess.run([*network.inside("far"), "curl", "http://10.97.0.1:8265"])
        network.close()
    """

    def __init__(self, addresses: int = 1) -> None:
        """Make the first namespace.

        Raises:
            CalledProcessError: it is not allowed here.
        """
        self._prefix = f"stepcoder-{uuid.uuid4().hex[:6]}-"
        self.names: list[str] = []
        self._make("site")
        for number in range(1, addresses + 1):
            self._ip("site", "address", "add", f"{site_address(number)}/32", "dev", "lo")

    def add(self, name: str, sees: int) -> str:
        """Make the namespace `name`, which reaches the site's address number `sees`; its address.

        Programs of the site reach it, and are answered as that address.
        """
        self._make(name)
        number = len(self.names) - 1
        address, seen = f"{OUTSIDE}.{number}", site_address(sees)
        device = f"v{number}"
        self._ip("site", "link", "add", device, "type", "veth",
                 "peer", "name", "eth0", "netns", self._prefix + name)  # fmt: skip
        for place, interface, own, other in (
            ("site", device, seen, address),
            (name, "eth0", address, seen),
        ):
            self._ip(place, "address", "add", own, "peer", other, "dev", interface)
            self._ip(place, "link", "set", interface, "up")
        return address

    def inside(self, name: str) -> list[str]:
        """What goes before a command that is to run in the namespace `name`."""
        return ["nsenter", f"--net=/run/netns/{self._prefix}{name}", "--"]

    def inode(self, name: str) -> int:
        """The number that `/proc/self/ns/net` names in the namespace `name`."""
        return Path(f"/run/netns/{self._prefix}{name}").stat().st_ino

    def of(self, pid: int) -> str | None:
        """The namespace in which a process is; None where it is in none of these, or has ended."""
        with contextlib.suppress(OSError):
            there = os.stat(f"/proc/{pid}/ns/net").st_ino
            for name in self.names:
                if self.inode(name) == there:
                    return name
        return None

    def processes(self, name: str) -> list[psutil.Process]:
        """The living processes in the namespace `name`, children of programs among them."""
        return [process for process in psutil.process_iter() if self.of(process.pid) == name]

    def cut_off(self, name: str) -> None:
        """Kill every process in the namespace `name`, as a machine that loses its power.

        Raises:
            TimeoutError: one does not end.
        """
        poll(lambda: self._kill(name) == 0, timeout_s=30, interval_s=0.05)

    def _kill(self, name: str) -> int:
        # Zombies, which may wait for a slow init, are in no namespace any more.
        processes = self.processes(name)
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.kill()
        return len(processes)

    def close(self) -> None:
        """Kill what still runs in the namespaces, and remove them."""
        for name in self.names:
            self.cut_off(name)
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", self._prefix + name], check=False)
        self.names.clear()

    def _make(self, name: str) -> None:
        _run(["ip", "netns", "add", self._prefix + name])
        self.names.append(name)
        self._ip(name, "link", "set", "lo", "up")

    def _ip(self, name: str, *arguments: str) -> None:
        _run(["ip", "-netns", self._prefix + name, *arguments])


def site_address(number: int) -> str:
    """Address number `number` of the first namespace."""
    return f"{SITE}.{number}"


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
