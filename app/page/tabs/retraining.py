"""The Retraining tab: from the open run's labelled unsafe set to a better DNN, and the proof."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app.numbers import COUNT, INNER_PART, NUMBER, POSITIVE, SEED, read_number
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
from pipelines.data.images import check_folder
from pipelines.dnn.job import read_tested
from pipelines.retraining.results import RETRAINING_FILE
from pipelines.runs.errors import InputError
from pipelines.runs.folder import CLUSTERING_JOBS, is_written
from pipelines.runs.manifest import list_runs, read_manifest
from pipelines.unsafe_set.files import read_selection

JOB = "retrain"

Places = tuple[str, str, str]
"""Model, training set and test set."""


@dataclass(frozen=True)
class Form:
    """What the user asks for; empty leaves the choice to the tool.

    The fields are those of the form, in its order.
    """

    model: str
    training: str
    test: str
    compare: bool
    repeats: str
    epochs: str
    learning_rate: str
    batch_size: str
    schedule: str
    validation_share: str
    validation: str
    patience: str
    augment: bool
    seed: str
    scaling: str
    classes: str
    task: str
    error_threshold: str
    key_points: bool
    groups: str


USUAL = Form(
    "", "", "", False, "10", "10", "", "32", "cosine", "0.1", "", "", False, "0", GUESSED, "",
    GUESSED, "", False, "",
)  # fmt: skip


def create_tab(page: Page, parts: Following, tab: gr.Tab) -> None:
    """Fill the tab that is open, and wire it."""
    opened = parts.opened
    with gr.Row(elem_classes="ask"):
        model = gr.Textbox(
            label="Keras model to retrain",
            placeholder="/path/to/model.keras",
            max_lines=1,
            elem_id="retrained-model",
        )
        training = _folder("Folder of its training images, labelled", "training-set")
        test = _folder("Folder of test images, labelled", "retraining-test")
    with gr.Row(elem_classes="actions"):
        retrain = gr.Button("Retrain", variant="primary", elem_id="retrain", **NARROW)
        browse = gr.Button("Browse for training images…", elem_id="browse-training", **NARROW)
        browse_test = gr.Button("Browse for test images…", elem_id="browse-retraining", **NARROW)
        count = gr.HTML(elem_id="count-training", elem_classes="count", padding=False)
        count_test = gr.HTML(elem_id="count-retraining", elem_classes="count", padding=False)
    complete_folder_field(page, training, browse, count, folders.recent)
    complete_folder_field(page, test, browse_test, count_test, folders.recent)
    with gr.Row(elem_classes="more"):
        with gr.Accordion("Training", open=False, elem_id="training-options"):
            options = _options()
        with gr.Accordion("Model and labels", open=False, elem_id="label-options"):
            labels = label_fields()
        with gr.Accordion(
            "Compare with other ways to choose images", open=False, elem_id="compare-options"
        ):
            comparison = _comparison()
    command = command_line("retrain-command")
    pane = result_pane("retraining", "retraining/pane.js")
    form = [model, training, test, *comparison, *options, *labels]

    def show(run: str | None) -> Any:
        return _show(page, run)

    def suggest(run: str | None, before: Places, *values: Any) -> list[Any]:
        return _suggest(page, run, before, values)

    def start(run: str | None, *values: Any) -> list[Any]:
        return _start(page, run, read_form(USUAL, values))

    def show_line(run: str | None, *values: Any) -> gr.Textbox:
        return _line(page, run, read_form(USUAL, values))

    def turned(turn: Turn, run: str | None) -> list[Any]:
        return _turned(page, turn, run)

    show_always(show, [opened, tab], opened, pane)
    places = [model, training, test]
    suggested = gr.State(("", "", ""))
    gr.on(
        [opened.change, tab.select],
        suggest,
        [opened, suggested, *places],
        [suggested, *places],
        trigger_mode="always_last",
        **HIDDEN,
    )
    retrain.click(start, [opened, *form], [*parts.outputs(), pane], **HIDDEN)
    parts.turn.change(turned, [parts.turn, opened], [retrain, parts.told, pane], **HIDDEN)
    changes = [field.change for field in (*form, opened)]
    gr.on(changes, show_line, [opened, *form], command, trigger_mode="always_last", **HIDDEN)


def _folder(label: str, elem_id: str) -> gr.Dropdown:
    return gr.Dropdown(
        label=label, choices=[], value=None, allow_custom_value=True, elem_id=elem_id
    )


def _comparison() -> list[Any]:
    gr.HTML(
        "<p>What is the unsafe set worth? As many images are chosen by random, and by least "
        "confidence of the DNN, and each is retrained with several times. All of the improvement "
        "set needs labels for that, and it takes four times the repeats as long as one "
        "retraining.</p>",
        padding=False,
    )
    with gr.Row():
        compare = gr.Checkbox(USUAL.compare, label="Compare", elem_id="compare-ways")
        repeats = gr.Textbox(USUAL.repeats, label="Repeats", elem_id="repeats")
    return [compare, repeats]


def _options() -> list[Any]:
    with gr.Row():
        epochs = gr.Textbox(USUAL.epochs, label="Epochs", elem_id="epochs")
        rate = gr.Textbox(label="Learning rate", info="Empty: the model file's, else 0.0001.")
        batch_size = gr.Textbox(USUAL.batch_size, label="Batch size")
    with gr.Row():
        schedule = gr.Radio(
            ["cosine", "constant"],
            value=USUAL.schedule,
            label="Learning rate over the epochs",
            info="cosine: falls to zero.",
        )
        share = gr.Textbox(
            USUAL.validation_share,
            label="Validation share",
            info="Of training and unsafe set, held out to find the best epoch.",
        )
        validation = gr.Textbox(label="Or a folder for that", info="Of labelled images.")
    with gr.Row():
        patience = gr.Textbox(
            label="Patience", info="Epochs without a better one; empty: train all."
        )
        augment = gr.Checkbox(
            USUAL.augment,
            label="Augment",
            info="Vary brightness and contrast of what is trained with.",
        )
        seed = gr.Textbox(USUAL.seed, label="Seed")
    # In the order of `Form`, as below.
    return [
        epochs, rate, batch_size, schedule, share, validation, patience, augment, seed,
    ]  # fmt: skip


# --- the job ------------------------------------------------------------------------------------


def _command(page: Page, run: str, form: Form) -> Command:
    """Return the command that the form asks for.

    Raises
    ------
    InputError
        When a field cannot be used.
    """
    for given, what in (
        (form.model, "the model file that is to be retrained"),
        (form.training, "the folder of its training images"),
        (form.test, "the folder of test images"),
    ):
        if not given.strip():
            raise InputError(f"Give {what}.")
    unsafe, training = page.access.resolve(run), page.access.resolve(form.training)
    wanted = (
        JOB, str(page.access.resolve(form.model)), "--training", str(training),
        "--unsafe", str(unsafe), "--test", str(page.access.resolve(form.test)),
        *_given(page, form),
    )  # fmt: skip
    out = folders.new_run_folder(page, unsafe, "-retrained", lambda run: _goes_on(run, wanted))
    overwrite = ["--overwrite"] if _goes_on(out, wanted) else []
    return Command((*wanted, "--out", str(out), *overwrite), out)


def _goes_on(run: Path, wanted: tuple[str, ...]) -> bool:
    """Tell whether a retraining was broken off that the same command goes on with."""
    try:
        manifest = read_manifest(run)
    except InputError:
        return False
    same = tuple(manifest.command[: len(wanted)]) == wanted
    return manifest.job == JOB and manifest.ended != "finished" and same and not is_written(run)


def _given(page: Page, form: Form) -> list[str]:
    """Return the options that differ from what is usual."""
    texts = [
        ("--epochs", "Epochs", form.epochs, USUAL.epochs, COUNT),
        ("--batch-size", "Batch size", form.batch_size, USUAL.batch_size, COUNT),
        ("--patience", "Patience", form.patience, USUAL.patience, COUNT),
        ("--seed", "Seed", form.seed, USUAL.seed, SEED),
        ("--learning-rate", "Learning rate", form.learning_rate, USUAL.learning_rate, POSITIVE),
        (
            "--validation-share",
            "Validation share",
            form.validation_share,
            USUAL.validation_share,
            INNER_PART,
        ),
        ("--error-threshold", "Error threshold", form.error_threshold, "", NUMBER),
    ]
    if form.compare:
        texts.append(("--repeats", "Repeats", form.repeats, USUAL.repeats, COUNT))
    choices = (
        ("--schedule", form.schedule, USUAL.schedule),
        ("--scaling", form.scaling, USUAL.scaling),
        ("--task", form.task, USUAL.task),
    )
    files = (("--validation", form.validation), ("--classes", form.classes))
    wishes = (
        ("--augment", form.augment),
        ("--key-points", form.key_points),
        ("--compare", form.compare),
    )
    given = []
    for option, label, text, usual, numbers in texts:
        if text.strip() not in {"", usual}:
            given += [option, read_number(label, text, numbers)]
    for option, chosen, usual in choices:
        given += [option, chosen] if chosen != usual else []
    for option, path in files:
        given += [option, str(page.access.resolve(path))] if path.strip() else []
    given += [option for option, wanted in wishes if wanted]
    return given + groups_option(form.groups)


def _line(page: Page, run: str | None, form: Form) -> gr.Textbox:
    """Show the command line of the form, where it makes one; Retrain says why not."""
    try:
        if run:
            return gr.Textbox(_command(page, run, form).line(), visible=True)
    except InputError:
        pass
    return gr.Textbox("", visible=False)


def _start(page: Page, run: str | None, form: Form) -> list[Any]:
    try:
        if not run:
            raise InputError("Open the run first whose unsafe set is labelled.")
        folder = page.access.resolve(run)
        manifest = read_manifest(folder)
        if manifest.job not in CLUSTERING_JOBS:
            raise InputError(f"{folder} holds no root cause clusters.")
        selection = read_selection(folder)
        if selection is None:
            raise InputError("The run has no unsafe set yet: select it first, and label it.")
        page.access.resolve(selection.folder)  # somebody else may have made the run
        command = _command(page, run, form)
        for named in (form.training, form.test):
            check_folder(page.access.resolve(named))
        started = wiring.start(page, [command])
        return [*started, _show(page, run)]
    except InputError as error:
        return [*wiring.say(str(error)), gr.skip()]


def _turned(page: Page, turn: Turn, run: str | None) -> list[Any]:
    """Allow what can be done now; show what a job that has just finished found."""
    look = page.jobs.look()
    running = wiring.is_running(page)
    button = gr.Button(interactive=not running)
    if look is None or not turn[1] or not wiring.does(look, JOB):
        return [button, gr.skip(), gr.skip()]
    told: Any = gr.skip()
    arguments = look.commands[-1].arguments
    of = Path(arguments[arguments.index("--unsafe") + 1])
    if look.state == "finished" and not wiring.is_run(page, run, of):
        told = notice(f"Retraining for {of.name} has finished: open that run to see it.")
    return [button, told, _show(page, run)]


def _suggest(
    page: Page, run: str | None, before: Places, given: tuple[str | None, ...]
) -> list[Any]:
    """Fill in what the run tells of its model and sets; what was typed stays."""
    found = suggest_places(page, run) if run else ("", "", "")
    fields = (gr.Textbox, gr.Dropdown, gr.Dropdown)
    filled = [
        field(value=place) if not (text or "").strip() or text == earlier else gr.skip()
        for text, earlier, place, field in zip(given, before, found, fields, strict=True)
    ]
    return [found, *filled]


def suggest_places(page: Page, run: str) -> Places:
    """Return the model, the training set and the test set that go with a run, as far as it tells.

    A test that listed the failing images tells of the model and the test set; what lies beside
    them under the usual names is taken for the rest.
    """
    model = training = test = ""
    try:
        manifest = read_manifest(page.access.resolve(run))
        beside = page.access.resolve(manifest.folder).parent
        try:
            listed = page.access.resolve(str(manifest.parameters.get("images", "")))
            tested = read_tested(listed.parent)
            model, test = str(tested.parameters.get("model") or ""), tested.folder
        except InputError:
            model = str(manifest.parameters.get("model") or "")
        model = model or _there(beside / "model.keras")
        training = _there(beside / "train")
        test = test or _there(beside / "test")
        return tuple(  # type: ignore[return-value]
            str(page.access.resolve(place)) if place else "" for place in (model, training, test)
        )
    except (InputError, OSError):
        return "", "", ""


def _there(path: Path) -> str:
    return str(path) if path.exists() else ""


# --- the result ---------------------------------------------------------------------------------


def _show(page: Page, run: str | None) -> dict[str, Any] | None:
    """Return what the pane's script needs to show the last retraining for a run.

    That it differs makes the script show it.
    """
    if not run:
        return None
    try:
        folder = page.access.resolve(run)
    except InputError:
        return None
    look = page.jobs.look()
    if look is not None and look.state == "running" and wiring.does(look, JOB):
        arguments = look.commands[-1].arguments
        if arguments[arguments.index("--unsafe") + 1] == str(folder):
            return {"key": page.served.key(look.folder), "live": True, "changed": look.number}
    for out, manifest in list_runs(page.runs):
        if manifest.job == JOB and manifest.parameters.get("unsafe") == str(folder):
            if not (out / RETRAINING_FILE).is_file():
                continue
            changed = folders.changed(out / RETRAINING_FILE)
            return {"key": page.served.key(out), "live": False, "changed": changed}
    return {"key": "", "live": False, "changed": ""}
