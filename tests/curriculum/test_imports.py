"""The package imports neither a cluster nor a tensor library."""

import subprocess
import sys

import curriculum

HEAVY = ("ray", "torch", "vllm", "deepspeed", "transformers", "docker", "numpy")
OURS = ("actors", "deploy", "learner", "sandbox")


def test_curriculum_imports_nothing_heavy():
    program = (
        "import sys, pkgutil, importlib, curriculum\n"
        "for module in pkgutil.walk_packages(curriculum.__path__, 'curriculum.'):\n"
        "    importlib.import_module(module.name)\n"
        f"print([name for name in {HEAVY + OURS!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=f"{curriculum.__path__[0]}/..",
    )
    assert done.stdout == "[]\n"


def test_every_public_name_exists():
    assert [name for name in curriculum.__all__ if not hasattr(curriculum, name)] == []
    assert len(set(curriculum.__all__)) == len(curriculum.__all__)
