import pytest

from curriculum.problem import Problem, Test


@pytest.fixture(scope="session")
def make_problem():
    """Makes a problem whose solution has a given number of start points, or is given."""

    def make(number: int = 0, points: int = 0, **fields) -> Problem:
        body = "".join(f"    if x > {i}:\n        x -= 1\n" for i in range(points))
        return Problem(
            **{
                "id": f"p{number}",
                "question": f"# question {number}",
                "solution": f"def f(x):\n{body}    return x\n",
                "fn_name": "f",
                "tests": (Test(input=[0], output=0),),
                "difficulty": "introductory",
                "source": "test",
                **fields,
            }
        )

    return make
