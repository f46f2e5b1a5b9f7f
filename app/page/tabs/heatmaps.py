"""The Heatmaps tab: from a DNN and images to root cause clusters by what drove it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app.numbers import NUMBER, read_number
from app.page import folders, wiring
from app.page.context import Page
from app.page.fields import (
    GUESSED,
    NARROW,
    command_line,
    complete_folder_field,
    groups_option,
    label_fields,
    read_form,
    result_pane,
    show_always,
)
from app.page.notices import notice
from app.page.wiring import HIDDEN, Following, Turn
from app.server.jobs import Command
from pipelines.clusters.clusters import CLUSTERS_FILE, LAYERS_FILE
from pipelines.data.images import folder_of
from pipelines.dnn.job import FAILURES_FILE, PICTURE_FILE, read_test
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import read_manifest

RULES = ("z+", "epsilon", "alpha-beta")


@dataclass(frozen=True)
class Form:
    """What the user asks for; empty leaves the choice to the tool.

    The fields are those of the form, in its order.
    """

    model: str
    images: str
    failing: bool
    scaling: str
    classes: str
    task: str
    error_threshold: str
    key_points: bool
    groups: str
    layers: str
    rule: str
    explain: str


USUAL = Form("", "", False, GUESSED, "", GUESSED, "", False, "", "", "z+", "")


def create_tab(page: Page, parts: Following, tab: gr.Tab) -> None:
    """Fill the tab that is open, and wire it."""
    opened = parts.opened
    with gr.Row(elem_classes="ask"):
        model = gr.Textbox(
            label="Keras model of the DNN under analysis",
            placeholder="/path/to/model.keras",
            max_lines=1,
            elem_id="model",
        )
        images = gr.Dropdown(
            label="Folder of labelled test images, or a test's failures.txt",
            choices=[],
            value=None,
            allow_custom_value=True,
            elem_id="test-set",
        )
    with gr.Row(elem_classes="actions"):
        find = gr.Button(
            "Find clusters by heatmaps", variant="primary", elem_id="find-heatmaps", **NARROW
        )
        test = gr.Button("Only test the DNN", elem_id="test-model", **NARROW)
        browse = gr.Button("Browse…", elem_id="browse-test-set", **NARROW)
        count = gr.HTML(elem_id="count-test-set", elem_classes="count", padding=False)
    complete_folder_field(page, images, browse, count, folders.recent)
    with gr.Row(elem_classes="more"), gr.Accordion("Options", open=False, elem_id="heat-options"):
        options = _options()
    command = command_line("heat-command")
    with gr.Row(elem_classes="more"):
        other = gr.Dropdown(
            label="Compare with the clusters of",
            choices=[],
            value=None,
            allow_custom_value=True,
            elem_id="other-run",
        )
    pane = result_pane("heatmaps", "heatmaps/pane.js")
    form = [model, images, *options]

    def show(run: str | None, compared: str | None) -> Any:
        return _show(page, run, compared)

    def start(*values: Any) -> list[Any]:
        return _start(page, read_form(USUAL, values), only_test=False)

    def start_test(*values: Any) -> list[Any]:
        return _start(page, read_form(USUAL, values), only_test=True)

    def show_line(*values: Any) -> gr.Textbox:
        return _line(page, read_form(USUAL, values))

    def turned(turn: Turn, run: str | None, compared: str | None) -> list[Any]:
        return _turned(page, turn, run, compared)

    shown_runs = [opened, other]
    show_always(show, [opened, other, tab], shown_runs, pane)
    other.focus(lambda: gr.Dropdown(choices=folders.list_run_choices(page)), None, other, **HIDDEN)
    find.click(start, form, parts.outputs(), **HIDDEN)
    test.click(start_test, form, parts.outputs(), **HIDDEN)
    buttons = [find, test]
    parts.turn.change(
        turned, [parts.turn, *shown_runs], [*buttons, parts.told, pane, opened], **HIDDEN
    )
    changes = [field.change for field in form]
    gr.on(changes, show_line, form, command, trigger_mode="always_last", **HIDDEN)


def _options() -> list[Any]:
    failing = gr.Checkbox(
        USUAL.failing,
        label="The DNN is wrong on all of these images",
        info="Otherwise it is tested first, which takes labels: class folders, or labels.csv.",
    )
    labels = label_fields()
    with gr.Row():
        layers = gr.Textbox(
            label="Layers to search", info="Names with commas between. Empty: all internal ones."
        )
        rule = gr.Radio(list(RULES), value=USUAL.rule, label="Rule", info="z+: HUDD's.")
        explain = gr.Textbox(
            label="Class to explain",
            info="A class, or the position of an output. Empty: the predicted one.",
        )
    # In the order of `Form`, as below.
    return [failing, *labels, layers, rule, explain]


# --- the jobs -----------------------------------------------------------------------------------


def _commands(page: Page, form: Form, only_test: bool) -> list[Command]:
    """Return the commands that the form asks for: a test where need be, then heatmaps.

    Raises
    ------
    InputError
        When a field cannot be used.
    """
    if not form.model.strip():
        raise InputError("Give the model file of the DNN under analysis.")
    if not form.images.strip():
        raise InputError("Give the folder of labelled images.")
    model, images = page.access.resolve(form.model), page.access.resolve(form.images)
    page.access.resolve(str(folder_of(images)))  # a list may name a folder elsewhere
    common = ["--scaling", form.scaling] if form.scaling != GUESSED else []
    listed = images.is_file() or form.failing
    commands = []
    if only_test or not listed:
        out = folders.new_run_folder(page, images, "-test")
        arguments = ["test", str(model), str(images), "--out", str(out), *common]
        if form.classes.strip():
            arguments += ["--classes", str(page.access.resolve(form.classes))]
        if form.task != GUESSED:
            arguments += ["--task", form.task]
        if form.error_threshold.strip():
            arguments += [
                "--error-threshold",
                read_number("Error threshold", form.error_threshold, NUMBER),
            ]
        if form.key_points:
            arguments.append("--key-points")
        arguments += groups_option(form.groups)
        commands.append(Command((*arguments, *_overwrite(out, images)), out))
    if not only_test:
        source = images if listed else commands[0].folder / FAILURES_FILE
        out = folders.new_run_folder(page, images, "-heatmaps")
        arguments = ["heatmaps", str(model), str(source), "--out", str(out), *common]
        for layer in form.layers.split(","):
            if layer.strip():
                arguments += ["--layers", layer.strip()]
        if form.rule != USUAL.rule:
            arguments += ["--rule", form.rule]
        if form.explain.strip():
            arguments += ["--explain", form.explain.strip()]
        commands.append(Command((*arguments, *_overwrite(out, images)), out))
    return commands


def _overwrite(out: Path, images: Path) -> list[str]:
    return ["--overwrite"] if folders.may_replace(out, images) else []


def _line(page: Page, form: Form) -> gr.Textbox:
    """Show the command lines of the form, where it makes any; Find says why not."""
    try:
        lines = "\n".join(each.line() for each in _commands(page, form, only_test=False))
        return gr.Textbox(lines, visible=True)
    except InputError:
        return gr.Textbox("", visible=False)


def _start(page: Page, form: Form, *, only_test: bool) -> list[Any]:
    try:
        return wiring.start(page, _commands(page, form, only_test))
    except InputError as error:
        return wiring.say(str(error))


def _turned(page: Page, turn: Turn, run: str | None, compared: str | None) -> list[Any]:
    """Allow what can be done now; open the run of a job that has just finished."""
    look = page.jobs.look()
    running = wiring.is_running(page)
    buttons = [gr.Button(interactive=not running)] * 2
    ended = look is not None and not running and turn[1]
    if look is None or not ended or look.state != "finished":
        return [*buttons, gr.skip(), gr.skip(), gr.skip()]
    if wiring.does(look, "test"):
        return [*buttons, notice(look.said), gr.skip(), gr.skip()]
    if not wiring.does(look, "heatmaps"):
        return [*buttons, gr.skip(), gr.skip(), gr.skip()]
    choices = folders.list_run_choices(page)
    opened = gr.Dropdown(choices=choices, value=str(look.folder))
    return [*buttons, gr.skip(), _show(page, str(look.folder), compared), opened]


# --- the result ---------------------------------------------------------------------------------


def _show(page: Page, run: str | None, compared: str | None) -> dict[str, Any] | None:
    """Return what the pane's script needs to show the heatmaps of a run.

    That it differs makes the script show them.
    """
    if not run:
        return None
    try:
        folder = page.access.resolve(run)
        manifest = read_manifest(folder)
    except InputError:
        return None
    told: dict[str, Any] = {
        "key": page.served.key(folder),
        "heatmaps": (folder / LAYERS_FILE).is_file(),
        "test": None,
        "other": None,
        "changed": [folders.changed(folder / name) for name in (LAYERS_FILE, CLUSTERS_FILE)],
    }
    try:
        tested = page.access.resolve(str(manifest.parameters.get("images", ""))).parent
        images, accuracy = read_test(tested)
        told["test"] = {
            "key": page.served.key(tested),
            "images": images,
            "accuracy": accuracy,
            "picture": (tested / PICTURE_FILE).is_file(),
        }
    except InputError:
        pass
    if compared:
        try:
            other = page.access.resolve(compared)
            read_manifest(other)
            told["other"] = page.served.key(other)
        except InputError:
            pass
    return told
