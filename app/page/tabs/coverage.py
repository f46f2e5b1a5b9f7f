"""The Coverage tab: from a DNN, its training images and test sets to how well they exercise it."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path

import gradio as gr

from app.commands.coverage import CoverageOptions
from app.commands.unsafe_set import ExportOptions
from app.page import folders, wiring
from app.page.context import Page
from app.page.fields import (
    NARROW,
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
from pipelines.deepimportance.manifest import CoverageFigures, CoverageParameters
from pipelines.deepimportance.results import COVERAGE_FILE, read_coverage
from pipelines.runs.errors import InputError
from pipelines.runs.folder import is_written
from pipelines.runs.manifest import Manifest, list_runs, read_part
from pipelines.runs.wording import percent

JOB = "coverage"
IDS = {
    "model": "coverage-model",
    "training": "coverage-training",
    "test": "coverage-test",
    "candidates": "candidates",
    "neurons": "neurons",
    "folder": "widening-folder",
}


def create_tab(page: Page, parts: Following, tab: gr.Tab) -> None:
    """Fill the open tab, and connect its events."""
    form, exporting = Form(IDS), Form(IDS)
    [measure] = _sets(page, form)
    with gr.Row(elem_classes="more"):
        _options(form)
        with gr.Accordion("Export new images", open=False, elem_id="widening-options"):
            exporting.row(ExportOptions, "folder", "count")
            with gr.Row():
                exporting.add(ExportOptions, "link")
                export = gr.Button("Export", elem_id="export-widening", size="md", **NARROW)
    line = command_line("coverage-command")
    opened = run_field("Open a measured coverage", "coverage-run", lambda: _run_choices(page))
    pane = result_pane("coverage", "coverage/pane.js")
    for shared in (form, exporting):
        shared.put("opened", opened)
    show_always(lambda run: _show(page, run), [opened, tab], opened, pane)
    tab.select(lambda run: _latest(page, run), opened, opened, **HIDDEN)
    actions = [
        Action(measure, form, lambda entries: _measure(page, entries)),
        Action(export, exporting, lambda entries: _export(page, entries)),
    ]
    wiring.wire(page, parts, actions, line, [pane, opened], lambda *end: _turned(page, *end))


def _sets(page: Page, form: Form) -> list[gr.Button]:
    sets = (
        SetField("training", "Browse training…", "training", _trained_on),
        SetField("test", "Browse tests…", "tests", _tested_on),
    )
    return make_set_fields(page, form, CoverageOptions, sets, ("Measure coverage", "measure"))


def _options(form: Form) -> None:
    with gr.Accordion("Other test sets, and new images", open=False, elem_id="other-sets"):
        others = gr.Textbox(
            label="Other test sets",
            info="A folder a line: they are shown beside the first, and added to it. The command "
            "perturb makes noisy and adversarial ones.",
            lines=2,
            elem_id="other-tests",
        )
        form.put("others", others)
        form.add(CoverageOptions, "candidates")
    with gr.Accordion("Options", open=False, elem_id="coverage-options"):
        form.row(CoverageOptions, "layer", "neurons", "class_")
        form.row(CoverageOptions, "clusters", "rule")
        form.row(CoverageOptions, "scaling", "classes")


# --- the jobs -----------------------------------------------------------------------------------


def _measure(page: Page, entries: Entries) -> list[Command]:
    test = text_of(entries, "test")
    sets = f"{test}\n{text_of(entries, 'others')}" if test else ""
    options = read(page, CoverageOptions, {**entries, "test": sets}, out=UNPLACED)
    return [build_command(JOB, place(page, options, options.test[0], "-coverage"))]


def _export(page: Page, entries: Entries) -> list[Command]:
    run = text_of(entries, "opened")
    if not run:
        raise InputError("Measure coverage with new images first, or open such a run.")
    folder = page.access.resolve(run)
    widening = read_coverage(folder).widening
    if widening is None:
        raise InputError(f"{folder.name} was measured without new images: give their folder.")
    page.access.resolve(widening.folder)  # somebody else may have made the run
    return [build_command("export", read(page, ExportOptions, entries, run=folder), folder)]


def _turned(page: Page, look: Look, entries: Entries) -> list[object] | None:
    """Open the run of a job that has just finished."""
    if look.state != "finished":
        return None
    if wiring.does(look, "export") and wiring.is_run(page, entries.get("opened"), look.folder):
        return [notice(look.message), gr.skip(), gr.skip()]
    if not wiring.does(look, JOB):
        return None
    opened = gr.Dropdown(choices=_run_choices(page), value=str(look.folder))
    return [gr.skip(), _show(page, str(look.folder)), opened]


# --- the result ---------------------------------------------------------------------------------


def _coverage_runs(page: Page) -> list[tuple[Path, Manifest]]:
    """List the runs of coverage in the page's folder, the latest first."""
    return [(folder, manifest) for folder, manifest in list_runs(page.runs) if manifest.job == JOB]


def _trained_on(page: Page) -> list[str]:
    sets = []
    for _, manifest in _coverage_runs(page):
        with suppress(InputError):
            sets.append(read_part(manifest, CoverageParameters).training)
    return list(dict.fromkeys(sets))


def _tested_on(page: Page) -> list[str]:
    return list(dict.fromkeys(manifest.folder for _, manifest in _coverage_runs(page)))


def _run_choices(page: Page) -> list[folders.Choice]:
    return [(_label(folder, manifest), str(folder)) for folder, manifest in _coverage_runs(page)]


def _label(folder: Path, manifest: Manifest) -> str:
    figures = folders.find_figures(manifest, CoverageFigures)
    what = f"{percent(figures.coverage)} covered" if figures else "no figures"
    if manifest.ended != "finished":
        what = "running" if is_written(folder) else "did not finish"
    when = datetime.fromisoformat(manifest.started_at).astimezone().strftime("%Y-%m-%d %H:%M")
    return f"{folder.name} · {what} · {when}"


def _latest(page: Page, run: str | None) -> object:
    """Open the latest run that has figures, if no run is open."""
    if run:
        return gr.skip()
    for folder, _ in _coverage_runs(page):
        if (folder / COVERAGE_FILE).is_file():
            return gr.Dropdown(choices=_run_choices(page), value=str(folder))
    return gr.skip()


def _show(page: Page, run: str | None) -> dict[str, object] | None:
    """Return what the pane's script needs to show a run of coverage.

    The script shows the run again whenever this value changes.
    """
    folder = folders.find_run(page, run)
    if folder is None:
        return None
    return {
        "key": page.served.key(folder),
        "changed": folders.changed(folder / COVERAGE_FILE),
    }
