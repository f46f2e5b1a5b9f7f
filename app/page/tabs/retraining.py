"""The Retraining tab: retrain the DNN with the open run's unsafe set, and show the changes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import gradio as gr

from app.commands.retrain import RetrainOptions
from app.page import folders, wiring
from app.page.context import Page
from app.page.fields import (
    SetField,
    command_line,
    make_label_fields,
    make_set_fields,
    result_pane,
    show_always,
)
from app.page.form import UNPLACED, Entries, Form, build_command, read, text_of
from app.page.notices import notice
from app.page.wiring import HIDDEN, Action, Following
from app.server.jobs import Command, Look
from pipelines.clusters.manifest import HeatmapChoices, HeatmapsParameters, read_search
from pipelines.data.images import resolve_folder
from pipelines.dnn.job import read_tested
from pipelines.dnn.manifest import DnnTestParameters
from pipelines.retraining.manifest import RetrainParameters
from pipelines.retraining.results import RETRAINING_FILE
from pipelines.runs.errors import InputError
from pipelines.runs.files import as_text
from pipelines.runs.folder import CLUSTERING_JOBS, is_written
from pipelines.runs.manifest import Manifest, find_part, list_runs, read_manifest, read_part
from pipelines.unsafe_set.files import read_selection

JOB = "retrain"
IDS = {
    "model": "retrained-model",
    "training": "training-set",
    "test": "retraining-test",
    "compare": "compare-ways",
    "repeats": "repeats",
    "epochs": "epochs",
}

Places = tuple[str, str, str]
"""Model, training set and test set."""


def create_tab(page: Page, parts: Following, tab: gr.Tab) -> None:
    """Fill the open tab, and connect its events."""
    form = Form(IDS)
    opened = form.put("opened", parts.opened)
    [retrain] = _sets(page, form)
    places = [form.fields[name] for name in ("model", "training", "test")]
    with gr.Row(elem_classes="more"):
        _options(form)
    line = command_line("retrain-command")
    pane = result_pane("retraining", "retraining/pane.js")

    def suggest(run: str | None, before: Places, *values: str | None) -> list[object]:
        return _suggest(page, run, before, values)

    show_always(lambda run: _show(page, run), [opened, tab], opened, pane)
    suggested = gr.State(("", "", ""))
    gr.on(
        [opened.change, tab.select],
        suggest,
        [opened, suggested, *places],
        [suggested, *places],
        trigger_mode="always_last",
        **HIDDEN,
    )
    action = Action(
        retrain,
        form,
        lambda entries: _retrain(page, entries),
        lambda entries: [_show(page, entries["opened"])],
    )
    wiring.wire(page, parts, [action], line, [pane], lambda *end: _turned(page, *end))


def _sets(page: Page, form: Form) -> list[gr.Button]:
    recent = folders.recent
    sets = (
        SetField("training", "Browse for training images…", "training", recent),
        SetField("test", "Browse for test images…", "retraining", recent),
    )
    return make_set_fields(page, form, RetrainOptions, sets, ("Retrain", "retrain"))


def _options(form: Form) -> None:
    with gr.Accordion("Training", open=False, elem_id="training-options"):
        form.row(RetrainOptions, "epochs", "learning_rate", "batch_size")
        form.row(RetrainOptions, "schedule", "validation_share", "validation")
        form.row(RetrainOptions, "patience", "augment", "seed")
    with gr.Accordion("Model and labels", open=False, elem_id="label-options"):
        make_label_fields(form, RetrainOptions)
    with gr.Accordion(
        "Compare with other ways to choose images", open=False, elem_id="compare-options"
    ):
        gr.HTML(
            "<p>What is the unsafe set worth? As many images are chosen at random, and by least "
            "confidence of the DNN, and the DNN is retrained several times with each choice. This "
            "needs labels for all of the improvement set, and takes as long as four retrainings "
            "for each repeat.</p>",
            padding=False,
        )
        form.row(RetrainOptions, "compare", "repeats")


# --- the job ------------------------------------------------------------------------------------


def _retrain(page: Page, entries: Entries) -> list[Command]:
    return [_command(page, _check_run(page, text_of(entries, "opened")), entries)]


def _check_run(page: Page, named: str) -> Path:
    """Return the open run, which must have an unsafe set.

    Raises
    ------
    InputError
        When there is no such run.
    """
    if not named:
        raise InputError("Open the run with the labelled unsafe set first.")
    folder = page.access.resolve(named)
    if read_manifest(folder).job not in CLUSTERING_JOBS:
        raise InputError(f"{folder} holds no root cause clusters.")
    selection = read_selection(folder)
    if selection is None:
        raise InputError("The run has no unsafe set yet: select it first, and label it.")
    page.access.resolve(selection.folder)  # somebody else may have made the run
    return folder


def _command(page: Page, unsafe: Path, entries: Entries) -> Command:
    of_comparing = {} if entries.get("compare") else {"repeats": ""}
    wanted = {**entries, **of_comparing}
    options = read(page, RetrainOptions, wanted, unsafe=unsafe, out=UNPLACED)
    for images in (options.training, options.test):
        resolve_folder(images)
    out = folders.new_run_folder(
        page, unsafe, "-retrained", lambda earlier: _goes_on(earlier, options)
    )
    options = replace(options, out=out, overwrite=_goes_on(out, options))
    return build_command(JOB, options)


def _goes_on(earlier: Path, options: RetrainOptions) -> bool:
    """Tell whether a retraining with these options continues an earlier, unfinished one."""
    try:
        manifest = read_manifest(earlier)
    except InputError:
        return False
    if manifest.job != JOB or manifest.ended == "finished" or is_written(earlier):
        return False
    try:
        return read_part(manifest, RetrainParameters) == _parameters(options)
    except InputError:  # it is of another version
        return False


def _parameters(options: RetrainOptions) -> RetrainParameters:
    """Return these options in the form of `run.json`; see `pipelines.retraining.job`."""
    values = {
        name: as_text(value.resolve()) if isinstance(value, Path) else value
        for name, value in vars(options).items()
    }
    values["repeats"] = options.repeats if options.compare else 0
    if options.scaling is None:
        with suppress(InputError):
            explained = find_part(read_manifest(options.unsafe), HeatmapChoices)
            values["scaling"] = explained.scaling if explained else None
    return RetrainParameters.model_validate(values)


def _is_for(manifest: Manifest, run: Path) -> bool:
    """Tell whether a manifest is that of a retraining with the unsafe set of a run."""
    with suppress(InputError):
        return manifest.job == JOB and read_part(manifest, RetrainParameters).unsafe == str(run)
    return False


def _turned(page: Page, look: Look, entries: Entries) -> list[object] | None:
    """Show the state of this tab's job while it runs, and its results afterwards."""
    options = look.commands[-1].options
    if not isinstance(options, RetrainOptions):
        return None
    opened = entries.get("opened")
    message: object = gr.skip()
    of = options.unsafe
    if look.state == "finished" and not wiring.is_run(page, opened, of):
        message = notice(f"Retraining for {of.name} has finished: open that run to see it.")
    return [message, _show(page, opened)]


def _suggest(
    page: Page, run: str | None, before: Places, entered: tuple[str | None, ...]
) -> list[object]:
    """Fill in the model and the sets that belong to the run; what the user typed stays.

    A field that has its value already is left alone: the user may be typing into it by now.
    """
    suggested = suggest_places(page, run) if run else ("", "", "")
    fields = (gr.Textbox, gr.Dropdown, gr.Dropdown)
    filled = [
        field(value=place)
        if place != (text or "") and (not (text or "").strip() or text == earlier)
        else gr.skip()
        for text, earlier, place, field in zip(entered, before, suggested, fields, strict=True)
    ]
    return [suggested, *filled]


def suggest_places(page: Page, run: str) -> Places:
    """Return the model, the training set and the test set that belong to a run, if known.

    If a test listed the failing images, it names the model and the test set. Otherwise files with
    the usual names beside the images are used.
    """
    model = training = test = ""
    try:
        manifest = read_manifest(page.access.resolve(run))
        search = read_search(manifest)
        beside = page.access.resolve(manifest.folder).parent
        try:
            tested = read_tested(page.access.resolve(search.images or "").parent)
            model, test = read_part(tested, DnnTestParameters).model, tested.folder
        except InputError:
            model = search.model if isinstance(search, HeatmapsParameters) else ""
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


def _show(page: Page, run: str | None) -> dict[str, object] | None:
    """Return what the pane's script needs to show the last retraining for a run.

    The script shows it again whenever this value changes.
    """
    if not run:
        return None
    try:
        folder = page.access.resolve(run)
    except InputError:
        return None
    look = page.jobs.look()
    if look is not None and look.state == "running":
        options = look.commands[-1].options
        if isinstance(options, RetrainOptions) and options.unsafe == folder:
            return {"key": page.served.key(look.folder), "live": True, "changed": look.number}
    for out, manifest in list_runs(page.runs):
        if _is_for(manifest, folder) and (out / RETRAINING_FILE).is_file():
            changed = folders.changed(out / RETRAINING_FILE)
            return {"key": page.served.key(out), "live": False, "changed": changed}
    return {"key": "", "live": False, "changed": ""}
