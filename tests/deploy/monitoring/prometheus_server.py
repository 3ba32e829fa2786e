"""A real Prometheus that scrapes a Ray cluster of this machine, where one is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from actors.cluster.ports import free_port
from deploy.monitoring.alerts import rules_yaml

REMEDY = "no Prometheus here: apt-get install prometheus"


def promtool(*arguments: str) -> str:
    """What `promtool` prints.

    Raises:
        AssertionError: it found something wrong.
    """
    done = subprocess.run(
        ["promtool", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class PrometheusServer:
    """Scrapes every node that Ray's discovery file lists, and looks at our rules, each second.

    An alert fires as soon as its condition holds: the rules' waits are of minutes.
    """

    def __init__(self, folder: Path, discovery: Path) -> None:
        folder.mkdir(parents=True)
        config = folder / "prometheus.yaml"
        scrape = {"job_name": "ray", "file_sd_configs": [{"files": [str(discovery)]}]}
        rules = yaml.safe_load(rules_yaml())
        for rule in rules["groups"][0]["rules"]:
            del rule["for"]
        (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
        tree = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [scrape],
        }
        config.write_text(yaml.safe_dump(tree))
        port = free_port("127.0.0.1")
        self._url = f"http://127.0.0.1:{port}"
        self._log = (folder / "log.txt").open("w")
        self._process = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
             f"--web.listen-address=127.0.0.1:{port}"],
            stdout=self._log, stderr=subprocess.STDOUT,
        )  # fmt: skip

    @staticmethod
    def installed() -> bool:
        return shutil.which("prometheus") is not None

    def query(self, expr: str, time_s: float) -> list[Any]:
        """The series of an instant query.

        Raises:
            AssertionError: Prometheus refuses the expression.
        """
        arguments = urllib.parse.urlencode({"query": expr, "time": time_s})
        request = f"{self._url}/api/v1/query?{arguments}"
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return json.load(reply)["data"]["result"]
        except urllib.request.HTTPError as error:
            raise AssertionError(f"{expr}: {error.read().decode()}") from error

    def firing(self, run: str, time_s: float) -> set[str]:
        """The alerts of a run that fire, by name."""
        found = self.query(f'ALERTS{{run="{run}",alertstate="firing"}}', time_s)
        return {series["metric"]["alertname"].removeprefix("StepCoder") for series in found}

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)
        self._log.close()
