"""What a top-level statement of a program does for the function that is asked for."""

import ast


def is_definition(node: ast.stmt, fn_name: str | None) -> bool:
    """Whether a statement defines the function, or a class `Solution` with it as a method.

    A declaration of an overload does not count: the function itself follows it.
    """
    if isinstance(node, ast.ClassDef):
        return node.name == "Solution" and any(
            is_definition(member, fn_name) for member in node.body
        )
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        overload = any("overload" in ast.unparse(name) for name in node.decorator_list)
        return node.name == fn_name and not overload
    if isinstance(node, ast.Assign):
        return any(isinstance(name, ast.Name) and name.id == fn_name for name in node.targets)
    return False


def is_derived(node: ast.stmt, fn_name: str | None) -> bool:
    """Whether a statement assigns a value made from the function, as `f = cache(f)` does."""
    if not isinstance(node, ast.Assign) or isinstance(node.value, ast.Lambda):
        return False
    names = {part.id for part in ast.walk(node.value) if isinstance(part, ast.Name)}
    return fn_name in names


def is_trial(node: ast.stmt) -> bool:
    """Whether a statement only tries the program: a main guard, a print, an assert or a text."""
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Compare) and "__name__" in ast.unparse(node.test)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return isinstance(node.value.func, ast.Name) and node.value.func.id == "print"
    return isinstance(node, ast.Assert) or is_text(node)


def is_text(node: ast.stmt) -> bool:
    """Whether a statement is a lone name or constant, or `Name: name`, and so may be prose."""
    if isinstance(node, ast.AnnAssign):
        return node.value is None
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Name | ast.Constant)


def first_line(node: ast.stmt) -> int:
    """Line, from 1, at which a statement or its first decorator begins."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def last_line(node: ast.stmt) -> int:
    """Line, from 1, at which a statement ends."""
    return node.end_lineno or node.lineno
