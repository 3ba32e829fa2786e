"""KodCode: a question, a solution, and tests in pytest's style that import the solution.

Each test function is one test, run as code in the program's namespace; a parametrized one is one
test per set of arguments. What pytest itself gives at run time (`pytest.raises`, `pytest.approx`)
needs the package in the sandbox; fixtures cannot be had and are refused by name.
"""

import ast
from typing import Any, cast

from curriculum.datasets.reading.asserts import called_function, require_checks
from curriculum.datasets.reading.format import Format
from curriculum.datasets.reading.record import RecordReader
from curriculum.errors import CurriculumError
from curriculum.problem import Assertions, Problem, Tier
from curriculum.syntax import parse

LEVELS: dict[str, Tier] = {
    "easy": "introductory",
    "medium": "interview",
    "hard": "competition",
}
SOLUTION_MODULE = "solution"


def kodcode_problem(record: RecordReader) -> Problem:
    """`test_info` names the function and its declaration, which is the starter code."""
    solution = record.python("solution", record.code("solution"))
    assertions = record.convert("test", pytest_assertions)
    fn_name, declaration = _declared(record)
    if not fn_name:
        fn_name = record.convert("test", lambda text: called_function([parse(text).body], solution))
    return record.problem(
        id=f"kodcode/{record.get('question_id')}",
        question=record.text("question").strip(),
        starter_code=declaration,
        solution=solution,
        fn_name=fn_name,
        assertions=assertions,
        difficulty=record.tier("gpt_difficulty", LEVELS, default="interview"),
        source="kodcode",
    )


def pytest_assertions(source: str) -> Assertions:
    """The tests of a pytest module that imports the solution.

    Raises:
        CurriculumError: there is no test, or one needs a fixture.
        SyntaxError: the source is not Python (more exactly, one of `UNPARSABLE`).
    """
    tree = parse(source)
    require_checks(tree)
    setup: list[ast.stmt] = []
    statements: list[str] = []
    for node in tree.body:
        if _is_main_guard(node):
            continue
        setup.append(_without_solution_import(node))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            statements += [f"{node.name}({text})" for text in _argument_lists(node)]
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            statements += _class_statements(node)
    if not statements:
        raise CurriculumError("no function test_... and no class Test... in it")
    return Assertions(setup=_setup(setup), statements=tuple(statements))


def _setup(nodes: list[ast.stmt]) -> str:
    """The module without the marks that only pytest reads, and without pytest if it needs none."""
    module = ast.Module(body=nodes, type_ignores=[])
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            kept = [d for d in node.decorator_list if "pytest.mark" not in ast.unparse(d)]
            node.decorator_list = kept
    used = {node.id for node in ast.walk(module) if isinstance(node, ast.Name)}
    if "pytest" not in used:
        module.body = [node for node in nodes if ast.unparse(node) != "import pytest"]
    return ast.unparse(module)


def _class_statements(node: ast.ClassDef) -> list[str]:
    methods = [method for method in node.body if isinstance(method, ast.FunctionDef)]
    has_setup = any(method.name == "setup_method" for method in methods)
    made = f"_case = {node.name}()\n" + ("_case.setup_method()\n" if has_setup else "")
    return [
        f"{made}_case.{method.name}({text})"
        for method in methods
        if method.name.startswith("test")
        for text in _argument_lists(method, method=True)
    ]


def _argument_lists(function: ast.FunctionDef, method: bool = False) -> list[str]:
    """The arguments of each call of a test function, as source."""
    parameters = [argument.arg for argument in function.args.args[method:]]
    parametrized = [d for d in function.decorator_list if "parametrize" in ast.unparse(d)]
    if not parametrized:
        needed = parameters[: len(parameters) - len(function.args.defaults)]
        if needed:
            raise CurriculumError(f"{function.name} needs the fixture {needed[0]!r}")
        return [""]
    sets: list[dict[str, str]] = [{}]
    for decorator in parametrized:
        more = _parameter_sets(function, decorator)
        sets = [one | other for one in more for other in sets]
    names = list(sets[0]) if sets else []
    if unknown := [name for name in parameters if name not in names]:
        raise CurriculumError(f"{function.name} needs the fixture {unknown[0]!r}")
    return [", ".join(f"{name}={value}" for name, value in chosen.items()) for chosen in sets]


def _parameter_sets(function: ast.FunctionDef, decorator: ast.expr) -> list[dict[str, str]]:
    """The values, as source, that one `pytest.mark.parametrize(names, values)` lists."""
    match decorator:
        case ast.Call(args=[names_node, ast.List(elts=rows) | ast.Tuple(elts=rows), *_]):
            pass
        case _:
            raise CurriculumError(f"{function.name}: its parameters are not a plain list")
    value = ast.literal_eval(names_node)
    names = value.replace(",", " ").split() if isinstance(value, str) else list(value)
    sets: list[dict[str, str]] = []
    for row in rows:
        if isinstance(row, ast.Call) and "param" in ast.unparse(row.func):
            values = row.args
        elif len(names) > 1 and isinstance(row, ast.Tuple | ast.List):
            values = row.elts
        else:
            values = [row]
        if len(values) != len(names):
            raise CurriculumError(f"{function.name}: {len(values)} values for {len(names)} names")
        sets.append(dict(zip(names, map(ast.unparse, values), strict=True)))
    return sets


def _without_solution_import(node: ast.stmt) -> ast.stmt:
    """A statement where the solution's names are not imported: they are there already."""
    match node:
        case ast.ImportFrom(module=module, names=names) if module == SOLUTION_MODULE:
            pairs = [(one.asname, one.name) for one in names if one.asname and one.name != "*"]
            renamed = "; ".join(f"{new} = {old}" for new, old in pairs)
            return parse(renamed or "pass").body[0] if len(pairs) < 2 else _block(renamed)
        case ast.Import(names=[ast.alias(name=name, asname=asname)]) if name == SOLUTION_MODULE:
            module = "__import__('types').SimpleNamespace(**globals())"
            return parse(f"{asname or name} = {module}").body[0]
        case _:
            return node


def _block(source: str) -> ast.stmt:
    return parse(f"if True:\n    {source}").body[0]


def _is_main_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)


def _declared(record: RecordReader) -> tuple[str | None, str]:
    """The first function that `test_info` declares, and its declaration."""
    info: Any = record.decoded("test_info") if record.get("test_info") else []
    if not isinstance(info, list) or not info or not isinstance(info[0], dict):
        return None, ""
    first = cast(dict[str, Any], info[0])
    declaration = first.get("function_declaration") or ""
    return first.get("function_name"), f"{declaration.rstrip()}\n" if declaration else ""


FORMAT = Format(
    name="kodcode",
    description="KodCode: tests in pytest's style, which stay code",
    keys=("question_id", "question", "solution", "test"),
    more_keys=frozenset(
        {"test_info", "gpt_difficulty", "gpt_pass_percentage", "subset", "style", "version"}
    ),
    to_problem=kodcode_problem,
)
