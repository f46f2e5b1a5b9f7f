"""A form made from descriptions of options: the first values of its fields, and their reading."""

from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Annotated

import gradio as gr
import pytest

from app.commands.cluster import ClusterOptions, ExplainOptions
from app.commands.coverage import CoverageOptions
from app.commands.dnn import HeatmapsOptions, TestOptions
from app.commands.inspect import InspectOptions
from app.commands.option import Option, option_fields
from app.commands.retrain import RetrainOptions
from app.commands.unsafe_set import ExportOptions, SelectOptions
from app.numbers import COUNT, PERCENTAGE
from app.page.context import Page
from app.page.form import UNPLACED, Form, build_command, place, read, resolve_images, text_of
from app.server.access import Access
from app.server.jobs import Jobs
from app.server.routes import ServedRuns
from pipelines.data.image_lists import write_image_list
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import Manifest, write_manifest

KINDS = [
    ClusterOptions, ExplainOptions, CoverageOptions, TestOptions, HeatmapsOptions, InspectOptions,
    RetrainOptions, SelectOptions, ExportOptions,
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FieldOptions:
    images: Annotated[Path, Option("", label="Images", needed="the images", images=True)]
    out: Annotated[Path, Option("")] = UNPLACED
    overwrite: Annotated[bool, Option("")] = False
    many: Annotated[int, Option("", label="How many", numbers=COUNT)] = 3
    shares: Annotated[tuple[float, ...], Option("", label="Shares", numbers=PERCENTAGE)] = (1.0,)
    names: Annotated[tuple[str, ...], Option("", label="Names")] = ()
    files: Annotated[tuple[Path, ...], Option("", label="Files")] = ()
    how: Annotated[str | None, Option("", label="How", choices=("a", "b"), unset="any")] = None
    link: Annotated[bool, Option("", label="Link", choices=("copy", "link"))] = False


@pytest.fixture
def page(tmp_path):
    root = tmp_path.resolve() / "root"
    (root / "images").mkdir(parents=True)
    access = Access(roots=(root,))
    page = Page(access, Jobs(), ServedRuns(access), root / "runs")
    yield page
    page.jobs.close()


def ask(page, **entries):
    return read(page, FieldOptions, {"images": str(page.access.roots[0] / "images")} | entries)


def test_fields_are_read_into_options(page):
    root = page.access.roots[0]
    assert ask(page) == FieldOptions(images=root / "images")
    options = ask(
        page, many=" 1 000 ", shares="2 %; .5;", names="a b, ,c", how="b", link="link",
        files=f"{root / 'a.csv'}\n\n {root / 'b, c.csv'}",
    )  # fmt: skip
    assert options == FieldOptions(
        images=root / "images", many=1000, shares=(2.0, 0.5), names=("a b", "c"), how="b",
        files=(root / "a.csv", root / "b, c.csv"), link=True,
    )  # fmt: skip
    empty = {"many": " ", "shares": ";", "names": ",", "files": "\n", "how": "any", "link": "copy"}
    assert ask(page, **empty) == ask(page)
    assert ask(page, out=str(root), trust="yes") == ask(page)  # none that the page has
    options_of_entries = read(
        page, FieldOptions, {"images": "x", "many": "9"}, images=Path("y"), out=Path("z")
    )
    assert options_of_entries == FieldOptions(images=Path("y"), out=Path("z"), many=9)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"images": " "}, "^Give the images.$"),
        ({"images": "{root}/no"}, "no does not exist"),
        ({"many": "few"}, "^How many: expected a whole number, 1 or more, received 'few'"),
        ({"shares": "1; 2,5"}, "^Shares: expected a percentage .*Write a decimal point: 2.5"),
        ({"files": "{root}/a\n/etc/passwd"}, "outside the folders that this page may use"),
        ({"images": "{root}/list.txt"}, "outside the folders that this page may use"),
    ],
)
def test_what_cannot_be_used_is_said_by_the_name_of_the_field(page, tmp_path, entries, words):
    root = page.access.roots[0]
    (tmp_path / "secret").mkdir()
    write_image_list(root / "list.txt", tmp_path / "secret", ["a.png"])
    with pytest.raises(InputError, match=words):
        ask(page, **{name: text.format(root=root) for name, text in entries.items()})


@pytest.mark.parametrize("kind", KINDS)
def test_a_form_that_nobody_touched_asks_for_the_usual(page, kind):
    """What the fields hold at first is read back as the defaults, of every command."""
    page_fields = [field for field in option_fields(kind) if field.option.label]
    form = Form({})
    with gr.Blocks():
        for field in page_fields:
            assert form.add(kind, field.name).label == field.option.label
    entries = form.entries([part.value for part in form.fields.values()])
    required_values = {
        field.name: (Path("x"),) if field.several else Path("x")
        for field in option_fields(kind)
        if field.required or field.option.needed
    }
    options = read(page, kind, entries, **required_values)
    for field in option_fields(kind):
        if field.name not in required_values:
            assert field.default is not MISSING
            assert getattr(options, field.name) == field.default


def test_fields_that_were_never_shown_are_no_entries():
    form = Form({"many": "how-many"})
    with gr.Blocks():
        form.row(FieldOptions, "many", "link")
        form.put("opened", gr.Textbox())
    assert form.fields["many"].elem_id == "how-many"
    assert form.entries(["4", None, "run"]) == {"many": "4", "opened": "run"}
    assert text_of({"many": " 4 ", "opened": None}, "many") == "4"
    assert text_of({"opened": None}, "opened") == text_of({}, "opened") == ""


def test_a_run_folder_is_chosen_that_may_be_replaced(page):
    images = page.access.roots[0] / "images"
    options = place(page, FieldOptions(images=images), images, "-job")
    assert (options.out, options.overwrite) == (page.runs / "images-job", False)
    manifest = Manifest(job="cluster", command=[], folder=str(images), parameters={})
    options.out.mkdir(parents=True)
    write_manifest(options.out, manifest)
    again = place(page, FieldOptions(images=images), images, "-job")
    assert (again.out, again.overwrite) == (options.out, True)
    other = place(page, FieldOptions(images=images), images.parent, "-job")
    assert other.out != options.out
    command = build_command("job", again)
    assert command.folder == options.out
    assert command.arguments == (
        "job", "--images", str(images), "--out", str(options.out), "--overwrite",
    )  # fmt: skip
    assert build_command("job", again, images).folder == images
    assert resolve_images(page, f" {images} ") == images
