"""The process backend: its warnings and its errors."""

import sys

import pytest

from curriculum.problem import Test
from sandbox import Job, SetupError
from tests.sandbox.conftest import DOUBLE, open_sandbox


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="this Python has sys.monitoring")
def test_coverage_without_monitoring_works_and_warns_once_that_it_is_slow(caplog):
    with open_sandbox("process", recycle_after=79) as slot:
        job = Job(id="s", source=DOUBLE, fn_name="f", tests=(Test(input=[5], output=10),))
        assert slot.run(job).executed_lines == (1, 2, 3)
        slot.close()
        slot.run(job)
    assert sum("sys.settrace" in message for message in caplog.messages) == 1


def test_an_interpreter_that_cannot_run_is_a_clear_error():
    with pytest.raises(SetupError, match="cannot start /none/python"):
        open_sandbox("process", python="/none/python").start()
    with pytest.raises(SetupError, match="did not start with"):
        open_sandbox("process", python="/bin/false").start()
