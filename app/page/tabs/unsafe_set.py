"""The Unsafe set tab: from a run and a folder of new images to the images worth a label."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from app.commands.unsafe_set import ExportOptions, SelectOptions
from app.page import folders, wiring
from app.page.context import Page
from app.page.fields import (
    NARROW,
    SetField,
    command_line,
    make_set_fields,
    result_pane,
    show_always,
)
from app.page.form import Entries, Form, build_command, read
from app.page.notices import notice
from app.page.wiring import HIDDEN, Action, Following
from app.server.jobs import Command, Look
from pipelines.clusters.clusters import CLUSTERS_FILE
from pipelines.clusters.manifest import HeatmapsParameters, read_search
from pipelines.data.images import resolve_folder
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import read_manifest
from pipelines.unsafe_set.files import CANDIDATES_FILE, SELECTION_FILE, read_selection

ESTIMATE = (
    "The papers choose (test images &times; selection factor) &times; (1 &minus; accuracy) images: "
    "as many as fail in 30 % of the test set. Give both figures of the test with the failing "
    "images, or the number of images that you can label; with neither, a tenth of the new "
    "images is chosen. The slider of the result changes the number at once."
)
IDS = {
    "improvement": "improvement",
    "test_images": "test-images",
    "accuracy": "accuracy",
    "count": "images-to-choose",
    "groups": "select-groups",
    "folder": "export-folder",
}


def create_tab(page: Page, parts: Following, tab: gr.Tab) -> None:
    """Fill the open tab, and connect its events."""
    opened = parts.opened
    form, exporting = Form(IDS), Form(IDS)
    for shared in (form, exporting):
        shared.put("opened", opened)
    improvement = SetField("improvement", "Browse…", "improvement", folders.recent_improvement_sets)
    button = "Select the unsafe set", "select"
    [select] = make_set_fields(page, form, SelectOptions, [improvement], button, model=False)
    with gr.Row(elem_classes="more"):
        _options(form)
        with gr.Accordion("Export to a labelling tool", open=False, elem_id="export-options"):
            exporting.add(ExportOptions, "folder")
            with gr.Row():
                exporting.add(ExportOptions, "link")
                export = gr.Button("Export", elem_id="export", size="md", **NARROW)
    line = command_line("select-command")
    pane = result_pane("unsafe-set", "unsafe_set/pane.js")
    show_always(lambda run: _show(page, run), [opened, tab], opened, pane)
    opened.change(lambda run: _folder_of(page, run), opened, form.fields["improvement"], **HIDDEN)
    actions = [
        Action(select, form, lambda entries: _select(page, entries)),
        Action(export, exporting, lambda entries: _export(page, entries)),
    ]
    wiring.wire(page, parts, actions, line, [pane], lambda *end: _turned(page, *end))


def _options(form: Form) -> None:
    with gr.Accordion("How many images", open=False, elem_id="how-many"):
        gr.HTML(f"<p>{ESTIMATE}</p>", padding=False)
        form.row(SelectOptions, "test_images", "accuracy", "count")
    with gr.Accordion("Options", open=False, elem_id="select-options"):
        form.row(SelectOptions, "allocation", "ranking", "selection_factor")
        form.row(SelectOptions, "duplicates", "overwrite")
        form.add(SelectOptions, "groups")


# --- the jobs -----------------------------------------------------------------------------------


def _select(page: Page, entries: Entries) -> list[Command]:
    run = _run(page, entries.get("opened"))
    options = read(page, SelectOptions, entries, run=run)
    resolve_folder(options.improvement)
    search = read_search(read_manifest(run))
    if isinstance(search, HeatmapsParameters):
        page.access.resolve(search.model)  # somebody else may have made the run
    return [build_command("select", options, run)]


def _export(page: Page, entries: Entries) -> list[Command]:
    run = _run(page, entries.get("opened"))
    if read_selection(run) is None:
        raise InputError("The run has no unsafe set yet: select it first.")
    return [build_command("export", read(page, ExportOptions, entries, run=run), run)]


def _turned(page: Page, look: Look, entries: Entries) -> list[object] | None:
    """Show the results of a job that has just finished."""
    if look.state == "running" or not wiring.does(look, "select", "export"):
        return None
    opened = entries.get("opened")
    message: object = gr.skip()
    if look.state == "finished" and wiring.does(look, "export"):
        message = notice(look.message)
    elif look.state == "finished" and not wiring.is_run(page, opened, look.folder):
        name = look.folder.name
        message = notice(f"The unsafe set of {name} is selected: open that run to see it.")
    return [message, _show(page, opened)]


# --- the result ---------------------------------------------------------------------------------


def _run(page: Page, named: str | None) -> Path:
    if not named:
        raise InputError("Open the run first: the new images are compared with its clusters.")
    folder = page.access.resolve(named)
    try:
        read_manifest(folder)
    except InputError as error:
        raise InputError(f"{folder} is not a run folder: {error}.") from error
    return folder


def _show(page: Page, run: str | None) -> dict[str, object] | None:
    """Return what the pane's script needs to show the unsafe set of a run.

    The script shows the set again whenever this value changes, also after clusters were renamed.
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


def _folder_of(page: Page, run: str | None) -> object:
    """Fill in the folder from which the run's unsafe set was selected."""
    try:
        selection = read_selection(_run(page, run))
    except (InputError, OSError):
        return gr.skip()
    return gr.skip() if selection is None else gr.Dropdown(value=selection.folder)
