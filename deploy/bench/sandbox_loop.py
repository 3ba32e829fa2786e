"""The worst case for a tracer: many executions of few statements."""

from curriculum.problem import Test
from sandbox.job import Job

SOURCE = """\
def f(n):
    t = 0
    i = 0
    while i < n:
        if i & 3:
            t += i
        else:
            t ^= i
        i += 1
    return t
"""


def tight_loop(rounds: int = 150_000) -> Job:
    """One long call; what it must return is computed here."""
    namespace = {}
    exec(SOURCE, namespace)
    tests = (Test(input=[rounds], output=namespace["f"](rounds)),)
    return Job(id="tight", source=SOURCE, fn_name="f", tests=tests)
