"""README, CONTRIBUTING and docs/ against the tree, the commands and the files that jobs write."""

import functools
import re
from pathlib import Path

import pytest
import typer

from app.cli.main import app
from examples.eyes import OUTPUTS as EXAMPLE
from pipelines.clusters.clusters import CLUSTER_COLUMNS, IMAGE_COLUMNS
from pipelines.clusters.write import OUTPUTS as CLUSTERING
from pipelines.data.formats import FORMAT_NAMES, MAX_PIXELS, MAX_REDUCED_PIXELS
from pipelines.deepimportance.perturbation_job import OUTPUTS as PERTURBED
from pipelines.deepimportance.results import OUTPUTS as COVERAGE
from pipelines.deepinspect.results import OUTPUTS as INSPECTION
from pipelines.dnn.job import OUTPUTS as TEST
from pipelines.retraining.files import OUTPUTS as RETRAINING
from pipelines.unsafe_set.rows import COLUMNS as UNSAFE_COLUMNS

ROOT = Path(__file__).resolve().parents[1]
README, CONTRIBUTING, DOCS = ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs"
PAGES = [README, CONTRIBUTING, *sorted(DOCS.glob("*.md"))]
WIDTH = 120
SCREEN = 40
LINES = {README: 150, CONTRIBUTING: 80}
"""At most; other pages have fewer than 300."""
PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)
CODE = re.compile(r"`([^`\n]+)`")
COMMAND = re.compile(r"SAFE_Tool\.py ([a-z]+)(.*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
BENCHMARK = re.compile(r"python -m benchmarks\.(\w+)([^`\n]*)")
OTHER_TOOLS = re.compile(r"\b(ruff|mypy|lint-imports|pytest|pip|apt-get)\b.*")
FOLDERS = ("app", "assets", "benchmarks", "docs", "examples", "pipelines", "tests")
PATH = re.compile(rf"(?:{'|'.join(FOLDERS)})/[\w./-]*|requirements[\w-]*\.txt|[\w-]+\.(?:toml|md)")
MODULE = re.compile(r"\w+\.py")
ROW = re.compile(r"^\| (`--[^|]*) \| (?:([^|]*) )?\| ([^|]*) \|$", re.MULTILINE)
SHARED_OPTIONS = "Options that several commands share"
OF_ALL_COMMANDS = {"--help"}

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@functools.cache
def text_of(page):
    return page.read_text(encoding="utf-8")


def anchors_of(page):
    """Return the names that GitHub gives the headings of a page."""
    names = []
    for _, title in HEADING.findall(text_of(page)):
        name = re.sub(r"[^\w\- ]", "", LINK.sub("]", title).lower()).replace(" ", "-")
        again = sum(
            re.fullmatch(rf"{re.escape(name)}(-\d+)?", other) is not None for other in names
        )
        names.append(f"{name}-{again}" if again else name)
    return names


def section_of(page, title):
    """Return what stands below a heading of the second level, up to the next one."""
    _, heading, rest = text_of(page).partition(f"\n## {title}\n")
    assert heading, f"{page.name} has no section {title}"
    return rest.partition("\n## ")[0]


def commands():
    """Return the options of each command, by its name; the page's below the empty one."""
    group = typer.main.get_command(app)
    return {
        name: {spelt: option for option in command.params for spelt in spellings(option)}
        for name, command in {"": group, **group.commands}.items()
    }


def spellings(option):
    return [s for s in (*option.opts, *option.secondary_opts) if s.startswith("--")]


def pairs():
    return [(name, option) for name, options in commands().items() for option in options]


@pages
def test_links_and_pictures_lead_somewhere(page):
    for target in LINK.findall(text_of(page)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_relative_to(ROOT) and file.exists(), target
        assert not anchor or anchor in anchors_of(file), target


@pages
def test_paths_of_the_project_exist(page):
    for code in CODE.findall(text_of(page)):
        if PATH.fullmatch(code):
            assert (ROOT / code).exists(), code
        if MODULE.fullmatch(code):  # such as job.py, which several rooms have
            places = [ROOT.glob(code), *(ROOT.glob(f"{folder}/**/{code}") for folder in FOLDERS)]
            assert any(any(files) for files in places), code


@pages
def test_tests_and_benchmarks_that_are_named_can_be_run(page):
    for path in re.findall(r"pytest (tests/[\w./]+)", text_of(page)):
        assert (ROOT / path).exists(), path
    for module, rest in BENCHMARK.findall(text_of(page)):
        source = (ROOT / "benchmarks" / f"{module}.py").read_text(encoding="utf-8")
        for word in re.findall(r"(?<!\S)(?:--)?[a-z-]+(?!\S)", rest):
            assert f'"{word}"' in source, f"{module}: {word}"


@pages
def test_lines_are_short(page):
    for line in text_of(page).splitlines():
        assert len(LINK.sub("]", PICTURE.sub("", line))) <= WIDTH, line


@pages
def test_pages_are_short(page):
    assert len(text_of(page).splitlines()) <= LINES.get(page, 299)


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_a_page_of_more_than_a_screen_begins_with_its_contents(page):
    if len(text_of(page).splitlines()) > SCREEN:
        levels = [level for level, _ in HEADING.findall(text_of(page))]
        anchors = zip(levels, anchors_of(page), strict=True)
        sections = {f"#{anchor}" for level, anchor in anchors if level == "##"}
        assert sections <= set(LINK.findall(text_of(page).partition("\n## ")[0]))


def test_every_page_is_linked_from_the_readme():
    links = LINK.findall(text_of(README))
    assert {f"docs/{page.name}" for page in DOCS.glob("*.md")} <= set(links)


@pages
def test_options_that_are_named_are_options_of_a_command(page):
    text = BENCHMARK.sub("", OTHER_TOOLS.sub("", text_of(page)))
    assert set(OPTION.findall(text)) <= {option for _, option in pairs()} | OF_ALL_COMMANDS


@pages
def test_commands_that_are_shown_have_their_options(page):
    options_of = commands()
    for line in re.findall(r"^    .*$|`[^`\n]*`", text_of(page), re.MULTILINE):
        for name, rest in COMMAND.findall(line):
            assert name in options_of, line
            assert set(OPTION.findall(rest)) <= set(options_of[name]), line


def list_shared_rows():
    """Return the commands of each option that several commands share, as the table has them."""
    rows = ROW.findall(section_of(DOCS / "command-line.md", SHARED_OPTIONS))
    return {
        option: set(names.split(", ")) for cell, names, _ in rows for option in OPTION.findall(cell)
    }


def test_the_shared_options_are_those_of_the_commands_beside_them():
    options_of = commands()
    for option, names in list_shared_rows().items():
        assert all(option in options_of[name] for name in names), option


def list_described_options(page, title):
    """Return the options that have a row in a section's table; without one, those that it names."""
    section = section_of(page, title)
    rows = [cell for cell, *_ in ROW.findall(section)]
    return set(OPTION.findall("\n".join(rows) or section))


@pytest.mark.parametrize(("command", "option"), pairs())
def test_every_option_is_described(command, option):
    if command:
        options = list_described_options(DOCS / "command-line.md", command)
        assert option in options or command in list_shared_rows().get(option, ())
    else:
        assert option in list_described_options(DOCS / "page.md", "Options of the server")


def test_every_command_is_described():
    names = re.findall(r"^\| \[(\w+)\]\(#\w+\)", text_of(DOCS / "command-line.md"), re.MULTILINE)
    assert sorted(names) == sorted(name for name in commands() if name)


@pytest.mark.parametrize("command", [name for name in commands() if name])
def test_defaults_are_those_of_the_options(command):
    options = commands()[command]
    for cell, default, _ in ROW.findall(section_of(DOCS / "command-line.md", command)):
        number = re.fullmatch(r"([\d,]+(?:\.\d+)?)(?: %)?", default)
        for option in OPTION.findall(cell):
            value = options[option].default
            if isinstance(value, str) and value:
                assert default == f"`{value}`", option
            elif isinstance(value, int | float) and not isinstance(value, bool):
                assert number and float(number[1].replace(",", "")) == value, option


def outputs():
    """Return the names of all files and folders that jobs write."""
    jobs = [*CLUSTERING.values(), COVERAGE, INSPECTION, TEST, RETRAINING, PERTURBED, EXAMPLE]
    return sorted({name for job in jobs for name in (*job.files, *(f"{f}/" for f in job.folders))})


@pytest.mark.parametrize("name", outputs())
def test_every_file_of_a_run_folder_is_described(name):
    assert name in CODE.findall(text_of(DOCS / "run-folder.md"))


def test_columns_of_tables_that_engineers_fill_in_are_described():
    for title, columns in (("clusters.csv", CLUSTER_COLUMNS), ("images.csv", IMAGE_COLUMNS)):
        part = text_of(DOCS / "run-folder.md").partition(f"### {title}\n")[2]
        cells = re.findall(
            r"^\| (`[^|]*) \|", re.split(r"^##", part, flags=re.MULTILINE)[0], re.MULTILINE
        )
        assert set(columns) == {name for cell in cells for name in CODE.findall(cell)}
    table = section_of(DOCS / "run-folder.md", "The unsafe set").partition("| column of")[2]
    cells = re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)
    assert set(UNSAFE_COLUMNS) == {name for cell in cells for name in CODE.findall(cell)}


def test_the_formats_that_are_read_are_those_of_the_code():
    words = " ".join((DOCS / "run-folder.md").read_text(encoding="utf-8").split())
    assert f"{FORMAT_NAMES} files are read" in words
    assert f"at most {MAX_PIXELS // 1_000_000} million pixels" in words
    assert f"JPEG file {MAX_REDUCED_PIXELS // 1_000_000} million" in words
