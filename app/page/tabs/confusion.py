"""The Confusion and bias tab: from a classifier to the pairs of classes that it confuses."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import gradio as gr

from app.commands.cluster import ClusterOptions
from app.commands.inspect import InspectOptions
from app.page import folders, wiring
from app.page.context import Page
from app.page.fields import (
    SetField,
    command_line,
    make_set_fields,
    result_pane,
    run_field,
    show_always,
)
from app.page.form import UNPLACED, Entries, Form, build_command, place, read, text_of
from app.page.notices import notice
from app.page.wiring import HIDDEN, Action, Following
from app.server.jobs import Command, Look
from pipelines.data.image_lists import find_image_folder
from pipelines.data.pair_lists import PAIR_FOLDER, list_name
from pipelines.deepinspect.manifest import InspectionFigures
from pipelines.deepinspect.results import CLASSES_FILE, JOB
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import Manifest, list_runs
from pipelines.runs.wording import count_of

OF_DISTANCES = ("distances", "labels", "predictions", "top")
"""Options that are read if distances replace the model and images."""
IDS = {"model": "classifier", "images": "inspected-set"}


def create_tab(page: Page, parts: Following, tab: gr.Tab) -> None:
    """Fill the open tab, and connect its events."""
    form = Form(IDS)
    find = _fields(page, form)
    line = command_line("inspect-command")
    inspection = run_field("Open an inspection", "inspection", lambda: _choices(page))
    # A line of its own: the Clusters tab empties the job's line when it opens the run.
    causes = gr.HTML(elem_id="causes", elem_classes="count", padding=False)
    pane = result_pane("confusion", "confusion/pane.js")

    def start_causes(run: str | None, event: gr.EventData) -> list[object]:
        return _find_causes(page, run, event._data)

    def arrive(run: str | None) -> gr.Dropdown:
        choices = _choices(page)
        return gr.Dropdown(choices=choices, value=run or (choices[0][1] if choices else None))

    show_always(lambda run: _show(page, run), [inspection, tab], inspection, pane)
    tab.select(arrive, inspection, inspection, **HIDDEN)
    pane.submit(start_causes, inspection, [*parts.outputs(), parts.opened], **HIDDEN)
    wiring.wire(
        page,
        parts,
        [Action(find, form, lambda entries: _inspect(page, entries))],
        line,
        [causes, inspection, pane],
        lambda look, _: _turned(page, look),
    )


def _fields(page: Page, form: Form) -> gr.Button:
    """Make the fields of an inspection, and the button that starts it."""
    images = SetField("images", "Browse…", "inspected-set", folders.recent)
    [find] = make_set_fields(page, form, InspectOptions, [images], ("Inspect", "inspect"))
    with gr.Row(elem_classes="more"):
        with gr.Accordion("Options", open=False, elem_id="inspect-options"):
            form.add(InspectOptions, "no_labels")
            form.row(InspectOptions, "scaling", "classes", "task")
            form.row(InspectOptions, "threshold", "layer", "top")
            form.add(InspectOptions, "normalise")
        with gr.Accordion("Distances from another framework", open=False, elem_id="exported"):
            form.add(InspectOptions, "distances")
            form.row(InspectOptions, "labels", "predictions")
    return find


# --- the jobs -----------------------------------------------------------------------------------


def _inspect(page: Page, entries: Entries) -> list[Command]:
    if text_of(entries, "distances"):
        wanted = {name: entries.get(name) for name in OF_DISTANCES}
        options = read(page, InspectOptions, wanted, out=UNPLACED, model=None, images=None)
        source = options.distances
    else:
        wanted = {**entries, "labels": "", "predictions": ""}
        options = read(page, InspectOptions, wanted, out=UNPLACED)
        source = options.images
    assert source is not None
    return [build_command(JOB, place(page, options, source, "-inspection"))]


def _find_causes(page: Page, run: str | None, pair: object) -> list[object]:
    """Cluster the confused images of a pair when the pane's button asks for it.

    The request is refused if the pane still shows another inspection, or an earlier state of it:
    the positions of its classes would be wrong.
    """
    try:
        if not run:
            raise InputError("Open the inspection first.")
        folder = page.access.resolve(run)
        try:
            if not isinstance(pair, dict):
                raise TypeError("expected an object")
            a, b = int(pair["a"]), int(pair["b"])
        except (TypeError, KeyError, ValueError):
            raise InputError("Choose a pair of classes first.") from None
        if {**pair, **_shown(page, folder)} != pair:
            raise InputError("Another inspection is open now: choose a pair of it.")
        source = folder / list_name(a, b)
        if not source.is_file():
            raise InputError("This pair has no list of confused images.")
        page.access.resolve(str(find_image_folder(source, page.access.roots)))
        out = folders.new_run_folder(page, folder, f"-{a}-{b}")
        running = wiring.is_running(page)
        updates = wiring.start(
            page, [build_command("cluster", ClusterOptions(out=out, images=source))]
        )
        return [*updates, gr.skip() if running else gr.Dropdown(value=None)]
    except InputError as error:
        return [*wiring.say(str(error)), gr.skip()]


def _clusters_pair(look: Look) -> bool:
    """Tell whether a job clusters the confused images of a pair."""
    options = look.commands[-1].options
    images = options.images if isinstance(options, ClusterOptions) else None
    return images is not None and images.parent.name == PAIR_FOLDER


def _turned(page: Page, look: Look) -> list[object] | None:
    """Open the inspection that has just finished."""
    if look.state == "running":
        return [gr.skip(), "", gr.skip(), gr.skip()]
    if look.state != "finished":
        return None
    if _clusters_pair(look):
        message = notice(f"The root causes are in {look.folder.name}: look under Clusters.")
        return [gr.skip(), message, gr.skip(), gr.skip()]
    if not wiring.does(look, JOB):
        return None
    opened = gr.Dropdown(choices=_choices(page), value=str(look.folder))
    return [gr.skip(), "", opened, _show(page, str(look.folder))]


# --- the result ---------------------------------------------------------------------------------


def _choices(page: Page) -> list[folders.Choice]:
    """List the inspections in the page's folder, the latest first."""
    return [
        (_label(folder, manifest), str(folder))
        for folder, manifest in list_runs(page.runs)
        if manifest.job == JOB and manifest.ended == "finished"
    ]


def _label(folder: Path, manifest: Manifest) -> str:
    figures = folders.find_figures(manifest, InspectionFigures)
    what = count_of(figures.classes, "class", "classes") if figures else "no figures"
    when = datetime.fromisoformat(manifest.started_at).astimezone().strftime("%Y-%m-%d %H:%M")
    return f"{folder.name} · {what} · {when}"


def _show(page: Page, run: str | None) -> dict[str, object] | None:
    """Return what the pane's script needs to show an inspection."""
    folder = folders.find_run(page, run)
    return None if folder is None else _shown(page, folder)


def _shown(page: Page, folder: Path) -> dict[str, object]:
    """Return the inspection that a pane shows, and its state."""
    return {"key": page.served.key(folder), "changed": folders.changed(folder / CLASSES_FILE)}
