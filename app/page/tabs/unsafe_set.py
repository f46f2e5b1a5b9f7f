"""The Unsafe set tab: from a run and a folder of new images to those that are worth a label."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app.numbers import COUNT, PART, SHARE, read_number
from app.page import folders, wiring
from app.page.context import Page
from app.page.fields import (
    NARROW,
    command_line,
    complete_folder_field,
    read_form,
    result_pane,
    show_always,
)
from app.page.notices import notice
from app.page.wiring import HIDDEN, Following, Turn
from app.server.jobs import Command
from pipelines.clusters.clusters import CLUSTERS_FILE
from pipelines.data.images import check_folder
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import read_manifest
from pipelines.unsafe_set.files import CANDIDATES_FILE, SELECTION_FILE, read_selection

ESTIMATE = (
    "The papers choose (test images &times; selection factor) &times; (1 &minus; accuracy) images: "
    "as many as would fail of 30 % of the test set. Give both figures of the test on which the "
    "failing images were found, or the number of images you can label; with neither, a tenth of "
    "the new images is chosen. The slider of the result changes the number at once."
)


@dataclass(frozen=True)
class Form:
    """What the user asks for; empty leaves the choice to the tool.

    The fields are those of the form, in its order.
    """

    improvement: str
    test_images: str
    accuracy: str
    count: str
    allocation: str
    ranking: str
    selection_factor: str
    duplicates: bool
    overwrite: bool
    groups: str


USUAL = Form("", "", "", "", "uniform", "contrast", "", False, False, "")


def create_tab(page: Page, parts: Following, tab: gr.Tab) -> None:
    """Fill the tab that is open, and wire it."""
    opened = parts.opened
    with gr.Row(elem_classes="ask"):
        improvement = gr.Dropdown(
            label="Folder of new images, the improvement set",
            choices=[],
            value=None,
            allow_custom_value=True,
            elem_id="improvement",
        )
    with gr.Row(elem_classes="actions"):
        select = gr.Button("Select the unsafe set", variant="primary", elem_id="select", **NARROW)
        browse = gr.Button("Browse…", elem_id="browse-improvement", **NARROW)
        count = gr.HTML(elem_id="count-improvement", elem_classes="count", padding=False)
    complete_folder_field(page, improvement, browse, count, folders.recent_improvement_sets)
    with gr.Row(elem_classes="more"):
        with gr.Accordion("How many images", open=False, elem_id="how-many"):
            how_many = _how_many()
        with gr.Accordion("Options", open=False, elem_id="select-options"):
            options = _options()
        with gr.Accordion("Export to a labelling tool", open=False, elem_id="export-options"):
            target, links, export = _export_fields()
    command = command_line("select-command")
    pane = result_pane("unsafe-set", "unsafe_set/pane.js")
    form = [improvement, *how_many, *options]

    def show(run: str | None) -> Any:
        return _show(page, run)

    def folder_of(run: str | None) -> Any:
        return _folder_of(page, run)

    def start(run: str | None, *values: Any) -> list[Any]:
        return _select(page, run, read_form(USUAL, values))

    def show_line(run: str | None, *values: Any) -> gr.Textbox:
        return _line(page, run, read_form(USUAL, values))

    def start_export(run: str | None, folder: str | None, how: str | None) -> list[Any]:
        return _export(page, run, folder or "", how == "link")

    def turned(turn: Turn, run: str | None) -> list[Any]:
        return _turned(page, turn, run)

    show_always(show, [opened, tab], opened, pane)
    opened.change(folder_of, opened, improvement, **HIDDEN)
    select.click(start, [opened, *form], parts.outputs(), **HIDDEN)
    export.click(start_export, [opened, target, links], parts.outputs(), **HIDDEN)
    buttons = [select, export]
    parts.turn.change(turned, [parts.turn, opened], [*buttons, parts.told, pane], **HIDDEN)
    changes = [field.change for field in (*form, opened)]
    gr.on(changes, show_line, [opened, *form], command, trigger_mode="always_last", **HIDDEN)


def _how_many() -> list[Any]:
    gr.HTML(f"<p>{ESTIMATE}</p>", padding=False)
    with gr.Row():
        # Text, because an empty number arrives as 0.
        test_images = gr.Textbox(
            label="Test images", info="In all, right and wrong.", elem_id="test-images"
        )
        accuracy = gr.Textbox(
            label="Accuracy on them", info="A share such as 0.93, or 93 %.", elem_id="accuracy"
        )
        count = gr.Textbox(
            label="Images to choose", info="Decides outright.", elem_id="images-to-choose"
        )
    return [test_images, accuracy, count]


def _options() -> list[Any]:
    with gr.Row():
        allocation = gr.Radio(
            ["uniform", "proportional"],
            value=USUAL.allocation,
            label="Shared out over the clusters",
            info="uniform: evenly (SAFE). proportional: by their size (HUDD).",
        )
        ranking = gr.Radio(
            ["contrast", "distance"],
            value=USUAL.ranking,
            label="First come",
            info="contrast: images more like failing than like other new ones. distance: those "
            "nearest to a core image (SAFE, HUDD).",
        )
        factor = gr.Textbox(label="Selection factor", info="Empty: the papers', 0.3.")
    with gr.Row():
        duplicates = gr.Checkbox(
            USUAL.duplicates,
            label="Choose images that look the same, too",
            info="Otherwise near-duplicates count once.",
        )
        overwrite = gr.Checkbox(
            USUAL.overwrite,
            label="Replace labels of another folder",
            info="Otherwise a run whose unsafe set of another folder has labels stays as it is.",
        )
    groups = gr.Textbox(
        label="Groups of new images",
        info="Of one track, drive or person, whose first image comes before the second of any: a "
        "regular expression, or none. Empty: by names such as 00012_00003.png.",
        elem_id="select-groups",
    )
    return [allocation, ranking, factor, duplicates, overwrite, groups]  # in the order of `Form`


def _export_fields() -> tuple[gr.Textbox, gr.Radio, gr.Button]:
    target = gr.Textbox(
        label="New folder",
        info="For the chosen images, a folder a cluster, with label_studio.json (import it into "
        "Label Studio) and coco.json.",
        elem_id="export-folder",
    )
    with gr.Row():
        links = gr.Radio(
            ["copy", "link"], value="copy", label="Images", info="Originals are never moved."
        )
        export = gr.Button("Export", elem_id="export", size="md", **NARROW)
    return target, links, export


# --- the jobs -----------------------------------------------------------------------------------


def _command(page: Page, run: str, form: Form) -> Command:
    """Return the command that the form asks for.

    Raises
    ------
    InputError
        When a field cannot be used.
    """
    folder = page.access.resolve(run)
    arguments = ["select", str(folder), str(page.access.resolve(form.improvement))]
    for option, label, text, numbers in (
        ("--test-images", "Test images", form.test_images, COUNT),
        ("--accuracy", "Accuracy on them", form.accuracy, SHARE),
        ("--count", "Images to choose", form.count, COUNT),
        ("--selection-factor", "Selection factor", form.selection_factor, PART),
    ):
        if text.strip():
            arguments += [option, read_number(label, text, numbers)]
    if form.allocation != USUAL.allocation:
        arguments += ["--allocation", form.allocation]
    if form.ranking != USUAL.ranking:
        arguments += ["--ranking", form.ranking]
    if form.duplicates:
        arguments.append("--duplicates")
    if form.overwrite:
        arguments.append("--overwrite")
    if form.groups.strip():
        arguments.append(f"--groups={form.groups.strip()}")  # it may begin with a dash
    return Command(tuple(arguments), folder)


def _line(page: Page, run: str | None, form: Form) -> gr.Textbox:
    """Show the command line of the form, where it makes one; Select says why not."""
    if run and form.improvement.strip():
        try:
            return gr.Textbox(_command(page, run, form).line(), visible=True)
        except InputError:
            pass
    return gr.Textbox("", visible=False)


def _select(page: Page, run: str | None, form: Form) -> list[Any]:
    try:
        folder = _run(page, run)
        if not form.improvement.strip():
            raise InputError("Give the folder that holds the new images.")
        check_folder(page.access.resolve(form.improvement))
        if model := read_manifest(folder).parameters.get("model"):
            page.access.resolve(str(model))  # somebody else may have made the run
        return wiring.start(page, [_command(page, str(folder), form)])
    except InputError as error:
        return wiring.say(str(error))


def _export(page: Page, run: str | None, target: str, link: bool) -> list[Any]:
    try:
        folder = _run(page, run)
        if read_selection(folder) is None:
            raise InputError("The run has no unsafe set yet: select it first.")
        if not target.strip():
            raise InputError("Give the new folder that the images are to go to.")
        arguments = ["export", str(folder), str(page.access.resolve(target)), *["--link"] * link]
        return wiring.start(page, [Command(tuple(arguments), folder)])
    except InputError as error:
        return wiring.say(str(error))


def _turned(page: Page, turn: Turn, run: str | None) -> list[Any]:
    """Allow what can be done now; show what a job that has just finished found."""
    look = page.jobs.look()
    running = wiring.is_running(page)
    buttons = [gr.Button(interactive=not running)] * 2
    ended = look is not None and not running and turn[1]
    if look is None or not ended or not wiring.does(look, "select", "export"):
        return [*buttons, gr.skip(), gr.skip()]
    told: Any = gr.skip()
    if look.state == "finished" and wiring.does(look, "export"):
        told = notice(look.said)
    elif look.state == "finished" and not wiring.is_run(page, run, look.folder):
        told = notice(f"The unsafe set of {look.folder.name} is selected: open that run to see it.")
    return [*buttons, told, _show(page, run)]


# --- the result ---------------------------------------------------------------------------------


def _run(page: Page, named: str | None) -> Path:
    if not named:
        raise InputError("Open the run first whose clusters the images are to belong to.")
    folder = page.access.resolve(named)
    try:
        read_manifest(folder)
    except InputError as error:
        raise InputError(f"{folder} is not a run folder: {error}.") from error
    return folder


def _show(page: Page, run: str | None) -> dict[str, Any] | None:
    """Return what the pane's script needs to show the unsafe set of a run.

    That it differs makes the script show it: also where clusters got other names since.
    """
    try:
        folder = _run(page, run)
    except InputError:
        return None
    return {
        "key": page.served.key(folder),
        "selected": (folder / SELECTION_FILE).is_file(),
        "changed": [
            folders.changed(folder / name)
            for name in (CANDIDATES_FILE, SELECTION_FILE, CLUSTERS_FILE)
        ],
    }


def _folder_of(page: Page, run: str | None) -> Any:
    """Fill in the folder that the run's unsafe set was selected from."""
    try:
        selection = read_selection(_run(page, run))
    except (InputError, OSError):
        return gr.skip()
    return gr.skip() if selection is None else gr.Dropdown(value=selection.folder)
