"""The result of an evaluation says what it was made with: data, sampling, prompts, versions."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from actors.evaluation.evaluator import Generation, Sampling
from actors.evaluation.records import GeneratedSample, SampleKey, SampleVerdict
from actors.evaluation.sample_log import SampleLog
from curriculum.config import DataConfig
from deploy.evaluation.folder import EvaluationFolder
from deploy.evaluation.provenance import Provenance, SuitePrompts
from deploy.evaluation.result import infrastructure_errors, write_result
from deploy.evaluation.settings import EvaluationSettings
from deploy.evaluation.suites import load_suites
from sandbox import Outcome


def test_a_result_names_data_sampling_template_and_versions(tmp_path: Path) -> None:
    [suite] = load_suites(["synthetic"], None, DataConfig(heldout_per_tier=1))
    log, sampling = SampleLog(tmp_path), Sampling(2, 0.8, 0.95, 64, 7)
    for problem in suite.problems:
        for number in range(sampling.samples):
            key = SampleKey(suite.name, problem.id, number)
            log.add_sample(GeneratedSample(key, problem.id, problem.program, "text", None, "stop"))
            outcome = Outcome.infra_error if number else Outcome.passed
            log.add_verdict(SampleVerdict(key, outcome, isolation="docker"))
    settings = EvaluationSettings(
        model="qwen",
        model_digest="m",
        suites={suite.name: suite.data["problems_sha256"]},
        judged_file=None,
        judged_sha256=None,
        sampling=sampling,
        dtype="auto",
        prompt={"style": "chat"},
        answer={},
        sandbox={"limits": {"wall_seconds": 10.0}},
    )
    prompts = {suite.name: SuitePrompts("plain", "p", "Solve this.")}
    processes = tmp_path / "processes.jsonl"
    provenance = Provenance(settings, "{{ messages }}", prompts, 0, processes)
    provenance.add_process("bfloat16", {"vllm": "0.0.1"})
    provenance.generation = Generation(tokens=90, seconds=3.0)
    folder = EvaluationFolder(tmp_path)
    result = write_result(folder, log, [suite], [1, 2], provenance)
    assert folder.read_result() == json.loads(json.dumps(result))
    assert (result["model"], result["model_digest"]) == ("qwen", "m")
    assert result["sampling"] == asdict(sampling)
    assert result["prompt"]["style"] == "chat"
    assert len(result["prompt"]["chat_template_sha256"]) == 64
    assert result["prompt"]["suites"] == {suite.name: asdict(prompts[suite.name])}
    assert result["versions"]["vllm"] == "0.0.1"
    assert result["versions"]["python"]
    assert (result["dtype"], result["tokens_per_s"]) == (["bfloat16"], 30.0)
    assert result["isolation"] == {"docker": 3}
    figures = result["suites"][suite.name]
    assert figures["data"] == suite.data
    assert figures["pass_at_k"]["1"]["all"]["overall"]["estimate"] == 0.5
    assert figures["pass_at_k"]["1"]["judged"]["overall"]["estimate"] == 1.0
    assert figures["pass_at_k"]["2"]["judged"] == {}
    assert infrastructure_errors(result) == 3
    [counts] = folder.read_problems().values()
    assert [(row.samples, row.passed, row.judged) for row in counts] == [(2, 1, 1)] * 3
