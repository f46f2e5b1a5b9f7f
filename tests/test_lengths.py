"""No function is longer than a screen, no file than a sitting: what grows is cut in time."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FUNCTION, FILE, PANE = 60, 400, 300
FOLDERS = ("app", "pipelines", "examples", "benchmarks", "tests")
PYTHON = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
PANES = sorted((ROOT / "assets" / "panes").rglob("*.js"))


def long_functions(text: str) -> list[str]:
    """Return the functions of a module that have more lines than `FUNCTION`, docstring included."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, functions) and node.end_lineno - node.lineno + 1 > FUNCTION
    ]


def test_long_functions_are_noticed():
    body = "    pass\n" * FUNCTION
    assert len(PYTHON) > 200
    assert long_functions(f"def f():\n{body}") == ["f"]
    assert long_functions(f"def f():\n{body[:-9]}") == []


@pytest.mark.parametrize("file", PYTHON, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_files_and_functions_are_short(file):
    text = file.read_text(encoding="utf-8")
    assert long_functions(text) == []
    assert len(text.splitlines()) <= FILE


@pytest.mark.parametrize("file", PANES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_panes_are_short(file):
    assert len(file.read_text(encoding="utf-8").splitlines()) <= PANE
