"""Tests mirror the code, path for path, so that who changes a module knows where its tests are."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent
ROOMS = ("app", "pipelines")


def is_code(path: Path) -> bool:
    """Tell whether a path without a suffix is a module or a package of the code."""
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def has_subject(file: Path) -> bool:
    """Tell whether a file of tests has the place of what it tests.

    It is `test_X.py` where the code has X. The tests of a module that are too many for one file are
    files of any name in a folder that is called as the module is.
    """
    place = ROOT / file.parent.relative_to(TESTS)
    return is_code(place / file.stem.removeprefix("test_")) or place.with_suffix(".py").is_file()


FILES = [
    file
    for room in ROOMS
    for file in sorted((TESTS / room).rglob("*.py"))
    if file.stem[:5] == "test_"
]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(TESTS).as_posix())
def test_a_file_of_tests_has_the_place_of_what_it_tests(file):
    assert has_subject(file)


def test_a_file_without_a_subject_is_noticed():
    assert len(FILES) > 50
    assert has_subject(TESTS / "app" / "server" / "test_jobs.py")
    assert has_subject(TESTS / "app" / "server" / "routes" / "test_words.py")
    assert not has_subject(TESTS / "app" / "server" / "test_words.py")
    assert not has_subject(TESTS / "app" / "server" / "words" / "test_jobs.py")


def test_a_wording_has_one_definition():
    places = defaultdict(list)
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            for line in ast.parse(file.read_text(encoding="utf-8")).body:
                words = line.value if isinstance(line, ast.Assign) else None
                if isinstance(words, ast.Constant) and " " in str(words.value):
                    places[words.value].append(file.relative_to(ROOT).as_posix())
    assert "loading the model" in places
    assert {words: files for words, files in places.items() if len(files) > 1} == {}
