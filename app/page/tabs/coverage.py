"""The Coverage tab: from a DNN, its training images and test sets to how well they exercise it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import gradio as gr

from app.numbers import COUNT, REGIONS, read_number
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
from pipelines.data.images import folder_of
from pipelines.deepimportance.results import COVERAGE_FILE, read_coverage
from pipelines.dnn.model import SCALINGS
from pipelines.runs.errors import InputError
from pipelines.runs.folder import is_written
from pipelines.runs.manifest import Manifest, list_runs, read_manifest
from pipelines.runs.wording import percent

JOB = "coverage"
RULES = ("epsilon", "z+", "alpha-beta")


@dataclass(frozen=True)
class Form:
    """What the user asks for; empty leaves the choice to the tool.

    The fields are those of the form, in its order.
    """

    model: str
    training: str
    test: str
    others: str
    candidates: str
    layer: str
    neurons: str
    class_: str
    clusters: str
    rule: str
    scaling: str
    classes: str


USUAL = Form("", "", "", "", "", "", "", "", "", RULES[0], GUESSED, "")


def create_tab(page: Page, parts: Following, tab: gr.Tab) -> None:
    """Fill the tab that is open, and wire it."""
    with gr.Row(elem_classes="ask"):
        model = gr.Textbox(
            label="Keras model whose tests are measured",
            placeholder="/path/to/model.keras",
            max_lines=1,
            elem_id="coverage-model",
        )
        training = _folder_field("Folder of training images", "coverage-training")
        test = _folder_field("Folder of the test set", "coverage-test")
    with gr.Row(elem_classes="actions"):
        measure = gr.Button("Measure coverage", variant="primary", elem_id="measure", **NARROW)
        browse_training = gr.Button("Browse training…", elem_id="browse-training", **NARROW)
        browse_test = gr.Button("Browse tests…", elem_id="browse-tests", **NARROW)
        count_training = gr.HTML(elem_id="count-training", elem_classes="count", padding=False)
        count_test = gr.HTML(elem_id="count-tests", elem_classes="count", padding=False)
    complete_folder_field(page, training, browse_training, count_training, _trained_on)
    complete_folder_field(page, test, browse_test, count_test, _tested_on)
    with gr.Row(elem_classes="more"):
        with gr.Accordion("Other test sets, and new images", open=False, elem_id="other-sets"):
            others, candidates = _more_sets()
        with gr.Accordion("Options", open=False, elem_id="coverage-options"):
            options = _options()
        with gr.Accordion("Export new images", open=False, elem_id="widening-options"):
            target, number, links, export = _export_fields()
    command = command_line("coverage-command")
    with gr.Row(elem_classes="more"):
        opened = gr.Dropdown(
            label="Open a measured coverage",
            choices=[],
            value=None,
            allow_custom_value=True,
            elem_id="coverage-run",
        )
    pane = result_pane("coverage", "coverage/pane.js")
    form = [model, training, test, others, candidates, *options]

    def show(run: str | None) -> Any:
        return _show(page, run)

    def open_latest(run: str | None) -> Any:
        return _latest(page, run)

    def start(*values: Any) -> list[Any]:
        return _start(page, read_form(USUAL, values))

    def show_line(*values: Any) -> gr.Textbox:
        return _line(page, read_form(USUAL, values))

    def start_export(run: str | None, *values: Any) -> list[Any]:
        return _export(page, run, *(value or "" for value in values))

    def turned(turn: Turn, run: str | None) -> list[Any]:
        return _turned(page, turn, run)

    show_always(show, [opened, tab], opened, pane)
    tab.select(open_latest, opened, opened, **HIDDEN)
    opened.focus(lambda: gr.Dropdown(choices=_run_choices(page)), None, opened, **HIDDEN)
    measure.click(start, form, parts.outputs(), **HIDDEN)
    export.click(start_export, [opened, target, number, links], parts.outputs(), **HIDDEN)
    buttons = [measure, export]
    parts.turn.change(turned, [parts.turn, opened], [*buttons, parts.told, pane, opened], **HIDDEN)
    changes = [field.change for field in form]
    gr.on(changes, show_line, form, command, trigger_mode="always_last", **HIDDEN)


def _folder_field(label: str, elem_id: str) -> gr.Dropdown:
    return gr.Dropdown(
        label=label, choices=[], value=None, allow_custom_value=True, elem_id=elem_id
    )


def _more_sets() -> list[Any]:
    others = gr.Textbox(
        label="Other test sets",
        info="A folder a line: they are shown beside the first, and added to it. The command "
        "perturb makes noisy and adversarial ones.",
        lines=2,
        elem_id="other-tests",
    )
    candidates = gr.Textbox(
        label="New images",
        info="A folder: which of them widen the first test set, ranked.",
        max_lines=1,
        elem_id="candidates",
    )
    return [others, candidates]


def _options() -> list[Any]:
    with gr.Row():
        layer = gr.Textbox(
            label="Layer", info="Dense or convolution. Empty: the last but one that has neurons."
        )
        neurons = gr.Textbox(label="Important neurons", info="Empty: 6.", elem_id="neurons")
        class_ = gr.Textbox(label="One class alone", info="Empty: all.")
    with gr.Row():
        clusters = gr.Textbox(label="Most regions of a neuron", info="Empty: 4.")
        rule = gr.Radio(
            list(RULES), value=USUAL.rule, label="Rule of relevance", info="epsilon: the paper's."
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
            info="A file, one a line, in the order of the outputs. Empty: sorted.",
        )
    return [layer, neurons, class_, clusters, rule, scaling, classes]  # in the order of `Form`


def _export_fields() -> tuple[gr.Textbox, gr.Textbox, gr.Radio, gr.Button]:
    with gr.Row():
        target = gr.Textbox(
            label="New folder",
            info="For the new images, with label_studio.json and coco.json.",
            elem_id="widening-folder",
        )
        number = gr.Textbox(label="Images", info="Best first. Empty: those that add a combination.")
    with gr.Row():
        links = gr.Radio(
            ["copy", "link"], value="copy", label="How", info="Originals are never moved."
        )
        export = gr.Button("Export", elem_id="export-widening", size="md", **NARROW)
    return target, number, links, export


# --- the jobs -----------------------------------------------------------------------------------


def _command(page: Page, form: Form) -> Command:
    """Return the command that the form asks for.

    Raises
    ------
    InputError
        When a field cannot be used.
    """
    for text, what in (
        (form.model, "the model file of the DNN under analysis"),
        (form.training, "the folder of training images"),
        (form.test, "the folder of the test set"),
    ):
        if not text.strip():
            raise InputError(f"Give {what}.")
    model, test = page.access.resolve(form.model), page.access.resolve(form.test)
    out = folders.new_run_folder(page, test, "-coverage")
    arguments = ["coverage", str(model), "--training", _images(page, form.training)]
    for text in (form.test, *form.others.splitlines()):
        if text.strip():
            arguments += ["--test", _images(page, text)]
    if form.candidates.strip():
        arguments += ["--candidates", _images(page, form.candidates)]
    arguments += ["--out", str(out)]
    given = {
        "--neurons": form.neurons.strip() and read_number("Important neurons", form.neurons, COUNT),
        "--clusters": form.clusters.strip()
        and read_number("Most regions of a neuron", form.clusters, REGIONS),
        "--layer": form.layer.strip(),
        "--class": form.class_.strip(),
        "--rule": form.rule if form.rule != USUAL.rule else "",
        "--scaling": form.scaling if form.scaling != GUESSED else "",
        "--classes": form.classes.strip() and str(page.access.resolve(form.classes)),
    }
    for option, text in given.items():
        if text:
            arguments += [option, text]
    if folders.may_replace(out, test):
        arguments.append("--overwrite")
    return Command(tuple(arguments), out)


def _images(page: Page, text: str) -> str:
    source = page.access.resolve(text)
    page.access.resolve(str(folder_of(source)))  # a list may name a folder elsewhere
    return str(source)


def _line(page: Page, form: Form) -> gr.Textbox:
    """Show the command line of the form, where it makes one; Measure says why not."""
    try:
        return gr.Textbox(_command(page, form).line(), visible=True)
    except InputError:
        return gr.Textbox("", visible=False)


def _start(page: Page, form: Form) -> list[Any]:
    try:
        return wiring.start(page, [_command(page, form)])
    except InputError as error:
        return wiring.say(str(error))


def _export(page: Page, run: str | None, target: str, number: str, how: str) -> list[Any]:
    try:
        if not run:
            raise InputError("Measure coverage with new images first, or open such a run.")
        folder = page.access.resolve(run)
        told = read_coverage(folder)["widening"]
        if told is None:
            raise InputError(f"{folder.name} was measured without new images: give their folder.")
        page.access.resolve(str(told["folder"]))  # somebody else may have made the run
        if not target.strip():
            raise InputError("Give the new folder that the images are to go to.")
        arguments = ["export", str(folder), str(page.access.resolve(target))]
        arguments += ["--link"] * (how == "link")
        if number.strip():
            arguments += ["--count", read_number("Images", number, COUNT)]
        return wiring.start(page, [Command(tuple(arguments), folder)])
    except InputError as error:
        return wiring.say(str(error))


def _turned(page: Page, turn: Turn, run: str | None) -> list[Any]:
    """Allow what can be done now; open the run of a job that has just finished."""
    look = page.jobs.look()
    running = wiring.is_running(page)
    buttons = [gr.Button(interactive=not running)] * 2
    ended = look is not None and not running and turn[1]
    if look is None or not ended or look.state != "finished":
        return [*buttons, gr.skip(), gr.skip(), gr.skip()]
    if wiring.does(look, "export") and wiring.is_run(page, run, look.folder):
        return [*buttons, notice(look.said), gr.skip(), gr.skip()]
    if not wiring.does(look, JOB):
        return [*buttons, gr.skip(), gr.skip(), gr.skip()]
    opened = gr.Dropdown(choices=_run_choices(page), value=str(look.folder))
    return [*buttons, gr.skip(), _show(page, str(look.folder)), opened]


# --- the result ---------------------------------------------------------------------------------


def _coverage_runs(page: Page) -> list[tuple[Path, Manifest]]:
    """List the runs of coverage in the page's folder, the latest first."""
    return [(folder, manifest) for folder, manifest in list_runs(page.runs) if manifest.job == JOB]


def _trained_on(page: Page) -> list[str]:
    found = (str(manifest.parameters.get("training", "")) for _, manifest in _coverage_runs(page))
    return list(dict.fromkeys(found))


def _tested_on(page: Page) -> list[str]:
    return list(dict.fromkeys(manifest.folder for _, manifest in _coverage_runs(page)))


def _run_choices(page: Page) -> list[folders.Choice]:
    return [(_label(folder, manifest), str(folder)) for folder, manifest in _coverage_runs(page)]


def _label(folder: Path, manifest: Manifest) -> str:
    share: Any = manifest.result.get("coverage")
    what = f"{percent(share)} covered" if isinstance(share, float) else "no figures"
    if manifest.ended != "finished":
        what = "running" if is_written(folder) else "did not finish"
    when = datetime.fromisoformat(manifest.started_at).astimezone().strftime("%Y-%m-%d %H:%M")
    return f"{folder.name} · {what} · {when}"


def _latest(page: Page, run: str | None) -> Any:
    """Open the latest run that has figures, where none is open."""
    if run:
        return gr.skip()
    for folder, _ in _coverage_runs(page):
        if (folder / COVERAGE_FILE).is_file():
            return gr.Dropdown(choices=_run_choices(page), value=str(folder))
    return gr.skip()


def _show(page: Page, run: str | None) -> dict[str, Any] | None:
    """Return what the pane's script needs to show a run of coverage.

    That it differs makes the script show it.
    """
    if not run:
        return None
    try:
        folder = page.access.resolve(run)
        read_manifest(folder)
    except InputError:
        return None
    return {
        "key": page.served.key(folder),
        "changed": folders.changed(folder / COVERAGE_FILE),
    }
