"""The Confusion and bias tab: from a classifier to the pairs of classes that it confuses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import gradio as gr

from app.numbers import ACTIVATION, PERCENTAGE, read_number
from app.page import folders, wiring
from app.page.context import Page
from app.page.fields import (
    GUESSED,
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
from pipelines.data.image_lists import PAIR_FOLDER, list_name
from pipelines.data.images import folder_of
from pipelines.deepinspect.results import CLASSES_FILE, JOB
from pipelines.dnn.model import SCALINGS
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import Manifest, list_runs, read_manifest
from pipelines.runs.wording import count_of

TASKS = ("classes", "several")


@dataclass(frozen=True)
class Form:
    """What the user asks for; empty leaves the choice to the tool.

    The fields are those of the form, in its order.
    """

    model: str
    images: str
    unlabelled: bool
    scaling: str
    classes: str
    task: str
    thresholds: str
    layers: str
    normalise: bool
    top: str
    distances: str
    labels: str
    predictions: str


USUAL = Form("", "", False, GUESSED, "", GUESSED, "0.5", "", False, "1 %", "", "", "")


def create_tab(page: Page, parts: Following, tab: gr.Tab) -> None:
    """Fill the tab that is open, and wire it."""
    with gr.Row(elem_classes="ask"):
        model = gr.Textbox(
            label="Keras model of the classifier",
            placeholder="/path/to/model.keras",
            max_lines=1,
            elem_id="classifier",
        )
        images = gr.Dropdown(
            label="Folder of images to inspect it with; labels are not needed",
            choices=[],
            value=None,
            allow_custom_value=True,
            elem_id="inspected-set",
        )
    with gr.Row(elem_classes="actions"):
        find = gr.Button("Inspect", variant="primary", elem_id="inspect", **NARROW)
        browse = gr.Button("Browse…", elem_id="browse-inspected-set", **NARROW)
        count = gr.HTML(elem_id="count-inspected-set", elem_classes="count", padding=False)
    complete_folder_field(page, images, browse, count, folders.recent)
    with gr.Row(elem_classes="more"):
        with gr.Accordion("Options", open=False, elem_id="inspect-options"):
            options = _options()
        with gr.Accordion("Distances from another framework", open=False, elem_id="exported"):
            exported = _exported_fields()
    command = command_line("inspect-command")
    with gr.Row(elem_classes="more"):
        inspection = gr.Dropdown(
            label="Open an inspection",
            choices=[],
            value=None,
            allow_custom_value=True,
            elem_id="inspection",
        )
    # Of its own: the Clusters tab empties the job's line when it opens the run.
    causes = gr.HTML(elem_id="causes", elem_classes="count", padding=False)
    pane = result_pane("confusion", "confusion/pane.js")
    form = [model, images, *options, *exported]

    def show(run: str | None) -> Any:
        return _show(page, run)

    def start(*values: Any) -> list[Any]:
        return _start(page, read_form(USUAL, values))

    def show_line(*values: Any) -> gr.Textbox:
        return _line(page, read_form(USUAL, values))

    def start_causes(run: str | None, event: gr.EventData) -> list[Any]:
        return _find_causes(page, run, event._data)

    def turned(turn: Turn) -> list[Any]:
        return _turned(page, turn)

    def arrive(run: str | None) -> gr.Dropdown:
        choices = _choices(page)
        return gr.Dropdown(choices=choices, value=run or (choices[0][1] if choices else None))

    show_always(show, [inspection, tab], inspection, pane)
    tab.select(arrive, inspection, inspection, **HIDDEN)
    inspection.focus(lambda: gr.Dropdown(choices=_choices(page)), None, inspection, **HIDDEN)
    find.click(start, form, parts.outputs(), **HIDDEN)
    pane.submit(start_causes, inspection, [*parts.outputs(), parts.opened], **HIDDEN)
    parts.turn.change(turned, parts.turn, [find, causes, inspection, pane], **HIDDEN)
    changes = [field.change for field in form]
    gr.on(changes, show_line, form, command, trigger_mode="always_last", **HIDDEN)


def _options() -> list[Any]:
    unlabelled = gr.Checkbox(
        USUAL.unlabelled,
        label="Take no labels",
        info="Otherwise labels.csv or class folders, where there are any, judge the ranking.",
    )
    with gr.Row():
        scaling = gr.Dropdown(
            [GUESSED, *SCALINGS],
            value=USUAL.scaling,
            label="Scaling of pixels",
            info="none: 0 to 255. caffe, torch: as networks trained on ImageNet.",
        )
        classes = gr.Textbox(
            label="Names of the classes",
            info="A file, one a line, in the order of the outputs. Empty: the labels, sorted.",
        )
        task = gr.Dropdown(
            [GUESSED, *TASKS],
            value=USUAL.task,
            label="What the model predicts",
            info="One class an image, or several labels.",
        )
    with gr.Row():
        thresholds = gr.Textbox(
            USUAL.thresholds,
            label="Threshold of activation",
            info="0 to 1; several with semicolons between, of which the first ranks.",
        )
        layers = gr.Textbox(
            label="Layers whose neurons count", info="Names with commas between. Empty: all."
        )
        top = gr.Textbox(USUAL.top, label="Top pairs", info="Share of all pairs, in percent.")
    normalise = gr.Checkbox(
        USUAL.normalise,
        label="Normalise distances",
        info="By the neurons that either class activates, as the authors' code does.",
    )
    # In the order of `Form`.
    return [unlabelled, scaling, classes, task, thresholds, layers, normalise, top]


def _exported_fields() -> list[Any]:
    distances = gr.Textbox(
        label="Table of distances",
        info="CSV of class, class and distance. It takes the place of model and images.",
    )
    with gr.Row():
        labels = gr.Textbox(
            label="Table of labels", info="CSV of image and labels, semicolons between labels."
        )
        predictions = gr.Textbox(label="Table of predictions", info="The same, as predicted.")
    return [distances, labels, predictions]


# --- the jobs -----------------------------------------------------------------------------------


def _command(page: Page, form: Form) -> Command:
    """Return the command that the form asks for.

    Raises
    ------
    InputError
        When a field cannot be used.
    """
    if form.distances.strip():
        return _exported_command(page, form)
    if not form.model.strip():
        raise InputError("Give the model file of the classifier.")
    if not form.images.strip():
        raise InputError("Give a folder of images to inspect it with.")
    model, images = page.access.resolve(form.model), page.access.resolve(form.images)
    page.access.resolve(str(folder_of(images)))  # a list may name a folder elsewhere
    out = folders.new_run_folder(page, images, "-inspection")
    arguments = ["inspect", str(model), str(images), "--out", str(out)]
    if form.scaling != GUESSED:
        arguments += ["--scaling", form.scaling]
    if form.classes.strip():
        arguments += ["--classes", str(page.access.resolve(form.classes))]
    if form.task != GUESSED:
        arguments += ["--task", form.task]
    if form.thresholds.strip() != USUAL.thresholds:
        for threshold in filter(str.strip, form.thresholds.split(";")):
            arguments += [
                "--threshold",
                read_number("Threshold of activation", threshold, ACTIVATION),
            ]
    for layer in filter(str.strip, form.layers.split(",")):
        arguments += ["--layers", layer.strip()]
    arguments += ["--normalise"] * form.normalise + ["--no-labels"] * form.unlabelled
    replace = folders.may_replace(out, images)
    return Command((*arguments, *_top(form), *["--overwrite"] * replace), out)


def _exported_command(page: Page, form: Form) -> Command:
    distances = page.access.resolve(form.distances)
    out = folders.new_run_folder(page, distances, "-inspection")
    arguments = ["inspect", "--distances", str(distances), "--out", str(out)]
    for option, text in (("--labels", form.labels), ("--predictions", form.predictions)):
        if text.strip():
            arguments += [option, str(page.access.resolve(text))]
    return Command((*arguments, *_top(form)), out)


def _top(form: Form) -> list[str]:
    percent = read_number("Top pairs", form.top.strip() or "1", PERCENTAGE)
    return [] if percent == "1" else ["--top", f"{percent}%"]


def _line(page: Page, form: Form) -> gr.Textbox:
    """Show the command line of the form, where it makes one; Inspect says why not."""
    try:
        return gr.Textbox(_command(page, form).line(), visible=True)
    except InputError:
        return gr.Textbox("", visible=False)


def _start(page: Page, form: Form) -> list[Any]:
    try:
        return wiring.start(page, [_command(page, form)])
    except InputError as error:
        return wiring.say(str(error))


def _find_causes(page: Page, run: str | None, pair: Any) -> list[Any]:
    """Cluster the confused images of a pair: what the pane's button asks for.

    The pane may still show another inspection than the one that is open, or an earlier state of it:
    there the positions of classes are others.
    """
    try:
        if not run:
            raise InputError("Open the inspection first.")
        folder = page.access.resolve(run)
        try:
            a, b = int(pair["a"]), int(pair["b"])
        except (TypeError, KeyError, ValueError):
            raise InputError("Choose a pair of classes first.") from None
        if {**pair, **_shown(page, folder)} != pair:
            raise InputError("Another inspection is open now: choose a pair of it.")
        source = folder / list_name(a, b)
        if not source.is_file():
            raise InputError("This pair has no list of confused images.")
        page.access.resolve(str(folder_of(source)))
        out = folders.new_run_folder(page, folder, f"-{a}-{b}")
        arguments = ("cluster", str(source), "--out", str(out))
        running = wiring.is_running(page)
        told = wiring.start(page, [Command(arguments, out)])
        return [*told, gr.skip() if running else gr.Dropdown(value=None)]
    except InputError as error:
        return [*wiring.say(str(error)), gr.skip()]


def _turned(page: Page, turn: Turn) -> list[Any]:
    """Allow what can be done now; open the inspection that has just finished."""
    look = page.jobs.look()
    running = wiring.is_running(page)
    button = gr.Button(interactive=not running)
    nothing = [button, gr.skip(), gr.skip(), gr.skip()]
    if look is None or running or not turn[1]:
        return [button, "" if running else gr.skip(), gr.skip(), gr.skip()]
    if look.state != "finished":
        return nothing
    if (
        wiring.does(look, "cluster")
        and Path(look.commands[-1].arguments[1]).parent.name == PAIR_FOLDER
    ):
        told = notice(f"The root causes are in {look.folder.name}: look under Clusters.")
        return [button, told, gr.skip(), gr.skip()]
    if not wiring.does(look, "inspect"):
        return nothing
    opened = gr.Dropdown(choices=_choices(page), value=str(look.folder))
    return [button, "", opened, _show(page, str(look.folder))]


# --- the result ---------------------------------------------------------------------------------


def _choices(page: Page) -> list[folders.Choice]:
    """List the inspections in the page's folder, the latest first."""
    return [
        (_label(folder, manifest), str(folder))
        for folder, manifest in list_runs(page.runs)
        if manifest.job == JOB and manifest.ended == "finished"
    ]


def _label(folder: Path, manifest: Manifest) -> str:
    classes: Any = manifest.result.get("classes", 0)
    when = datetime.fromisoformat(manifest.started_at).astimezone().strftime("%Y-%m-%d %H:%M")
    return f"{folder.name} · {count_of(classes, 'class', 'classes')} · {when}"


def _show(page: Page, run: str | None) -> dict[str, Any] | None:
    """Return what the pane's script needs to show an inspection."""
    if not run:
        return None
    try:
        folder = page.access.resolve(run)
        read_manifest(folder)
    except InputError:
        return None
    return _shown(page, folder)


def _shown(page: Page, folder: Path) -> dict[str, Any]:
    """Return which inspection, and which state of it, a pane shows."""
    return {"key": page.served.key(folder), "changed": folders.changed(folder / CLASSES_FILE)}
