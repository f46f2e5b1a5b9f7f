"""The Heatmaps tab: from a DNN and images to root cause clusters by what drove the DNN."""

from __future__ import annotations

from dataclasses import replace

import gradio as gr

from app.commands.dnn import HeatmapsOptions, TestOptions
from app.page import folders, wiring
from app.page.context import Page
from app.page.fields import (
    SetField,
    command_line,
    make_label_fields,
    make_set_fields,
    result_pane,
    run_field,
    show_always,
)
from app.page.form import UNPLACED, Entries, Form, build_command, place, read
from app.page.notices import notice
from app.page.wiring import Action, Following
from app.server.jobs import Command, Look
from pipelines.clusters.clusters import CLUSTERS_FILE, LAYERS_FILE
from pipelines.clusters.manifest import read_search
from pipelines.dnn.job import FAILURES_FILE, PICTURE_FILE, read_test
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import read_manifest

IDS = {"model": "model", "images": "test-set"}


def create_tab(page: Page, parts: Following, tab: gr.Tab) -> None:
    """Fill the open tab, and connect its events."""
    form = Form(IDS)
    find, test = _fields(page, form)
    line = command_line("heat-command")
    opened = form.put("opened", parts.opened)
    other = run_field(
        "Compare with the clusters of", "other-run", lambda: folders.list_run_choices(page)
    )
    form.put("other", other)
    pane = result_pane("heatmaps", "heatmaps/pane.js")
    show_always(
        lambda run, compared: _show(page, run, compared),
        [opened, other, tab],
        [opened, other],
        pane,
    )
    actions = [
        Action(find, form, lambda entries: _find(page, entries)),
        Action(test, form, lambda entries: _test(page, entries)),
    ]
    wiring.wire(page, parts, actions, line, [pane, opened], lambda *end: _turned(page, *end))


def _fields(page: Page, form: Form) -> tuple[gr.Button, gr.Button]:
    """Make the fields, and the buttons for clusters and for a test alone."""
    images = SetField("images", "Browse…", "test-set", folders.recent)
    buttons = ("Find clusters by heatmaps", "find-heatmaps"), ("Only test the DNN", "test-model")
    find, test = make_set_fields(page, form, TestOptions, [images], *buttons)
    with gr.Row(elem_classes="more"), gr.Accordion("Options", open=False, elem_id="heat-options"):
        failing = gr.Checkbox(
            False,
            label="The DNN is wrong on all of these images",
            info="Otherwise it is tested first, which takes labels: class folders, or labels.csv.",
        )
        form.put("failing", failing)
        make_label_fields(form, TestOptions)
        form.row(HeatmapsOptions, "layer", "rule", "explain")
    return find, test


# --- the jobs -----------------------------------------------------------------------------------


def _find(page: Page, entries: Entries) -> list[Command]:
    """Return the commands for clusters by heatmaps; without known failures, a test is first."""
    options = read(page, HeatmapsOptions, entries, out=UNPLACED)
    images, source = options.images, options.images
    tests = []
    if not images.is_file() and not entries.get("failing"):
        tests = _test(page, entries)
        source = tests[0].folder / FAILURES_FILE
    options = replace(place(page, options, images, "-heatmaps"), images=source)
    return [*tests, build_command("heatmaps", options)]


def _test(page: Page, entries: Entries) -> list[Command]:
    options = read(page, TestOptions, entries, out=UNPLACED)
    return [build_command("test", place(page, options, options.images, "-test"))]


def _turned(page: Page, look: Look, entries: Entries) -> list[object] | None:
    """Open the run of a job that has just finished."""
    if look.state != "finished":
        return None
    if wiring.does(look, "test"):
        return [notice(look.message), gr.skip(), gr.skip()]
    if not wiring.does(look, "heatmaps"):
        return None
    opened = gr.Dropdown(choices=folders.list_run_choices(page), value=str(look.folder))
    return [gr.skip(), _show(page, str(look.folder), entries.get("other")), opened]


# --- the result ---------------------------------------------------------------------------------


def _show(page: Page, run: str | None, compared: str | None) -> dict[str, object] | None:
    """Return what the pane's script needs to show the heatmaps of a run.

    The script shows them again whenever this value changes.
    """
    folder = folders.find_run(page, run)
    if folder is None:
        return None
    manifest = read_manifest(folder)
    shown: dict[str, object] = {
        "key": page.served.key(folder),
        "heatmaps": (folder / LAYERS_FILE).is_file(),
        "test": None,
        "other": None,
        "changed": [folders.changed(folder / name) for name in (LAYERS_FILE, CLUSTERS_FILE)],
    }
    try:
        tested = page.access.resolve(read_search(manifest).images or "").parent
        images, accuracy = read_test(tested)
        shown["test"] = {
            "key": page.served.key(tested),
            "images": images,
            "accuracy": accuracy,
            "picture": (tested / PICTURE_FILE).is_file(),
        }
    except InputError:
        pass
    if (other := folders.find_run(page, compared)) is not None:
        shown["other"] = page.served.key(other)
    return shown
