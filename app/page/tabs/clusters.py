"""The Clusters tab: from a folder of failing images to root cause clusters on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import gradio as gr

from app.commands.cluster import ClusterOptions, ExplainOptions
from app.page import example, folders, wiring
from app.page.context import Page
from app.page.fields import NARROW, command_line, complete_folder_field, result_pane
from app.page.form import UNPLACED, Entries, Form, build_command, read, text_of
from app.page.notices import describe, notice
from app.page.wiring import HIDDEN, Action, Following
from app.server.jobs import Command, Look
from pipelines.clusters.explanation import EXPLANATION_FILE
from pipelines.data.images import TABLES
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import list_runs, read_manifest
from pipelines.runs.wording import count_of

PARAMETERS = "Parameters of the images"
JOBS = ("cluster", "explain", "example")
UNSAFE_VALUES = "unsafe_values.csv"
IDS = {
    "images": "folder",
    "passing": "passing",
    "out": "out",
    "parameters": "parameters",
    "angles": "angles",
    "unsafe_values": "unsafe-values",
    "groups": "groups",
}


def create_tab(page: Page, blocks: gr.Blocks, parts: Following) -> None:
    """Fill the open tab, and connect its events."""
    form = Form(IDS)
    opened = form.put("opened", parts.opened)
    find, try_example = _sets(page, form)
    with gr.Row(elem_classes="more"):
        with gr.Accordion("Options", open=False, elem_id="options"):
            _options(page, form)
        with gr.Accordion(PARAMETERS, open=False, elem_id="image-parameters") as accordion:
            explain = _make_table_fields(page, accordion, form)
    line = command_line("command")
    browser = result_pane("clusters", "clusters/pane.js")
    result = [*parts.outputs(), browser, opened]

    def arrive(request: gr.Request) -> list[object]:
        return _arrive(page, request.query_params.get("run"))

    blocks.load(arrive, None, result, **HIDDEN)
    try_example.click(lambda: _try_example(page), None, result, **HIDDEN)
    opened.focus(lambda: _runs(page), None, opened, **HIDDEN)
    opened.input(
        lambda path: _choose(page, path), opened, [parts.timer, parts.message, browser], **HIDDEN
    )
    wiring.wire(
        page,
        parts,
        [
            Action(find, form, lambda entries: _find(page, entries), lambda _: _close()),
            Action(
                explain,
                form,
                lambda entries: _explain(page, entries),
                lambda entries: [_served(page, _run(page, entries)), gr.skip()],
            ),
        ],
        line,
        [browser, opened],
        lambda *end: _turned(page, *end),
        buttons=[try_example],
    )


def _sets(page: Page, form: Form) -> tuple[gr.Button, gr.Button]:
    """Make the fields for the images, and the buttons to find clusters and to try the example."""
    with gr.Row(elem_classes="ask"):
        images = form.folder(ClusterOptions, "images")
        passing = form.folder(ClusterOptions, "passing")
    with gr.Row(elem_classes="actions"):
        find = gr.Button("Find root cause clusters", variant="primary", elem_id="find", **NARROW)
        browse = gr.Button("Browse…", elem_id="browse", **NARROW)
        try_example = gr.Button("Try the example", elem_id="example", **NARROW)
        count = gr.HTML(elem_id="count", elem_classes="count", padding=False)
    complete_folder_field(page, images, browse, count, folders.recent)
    passing.focus(
        lambda: gr.Dropdown(choices=folders.list_test_choices(page)), None, passing, **HIDDEN
    )
    return find, try_example


def _make_table_fields(page: Page, accordion: gr.Accordion, form: Form) -> gr.Button:
    """Make the fields for tables on the images, and the button that explains a run with them."""
    form.add(ClusterOptions, "parameters")
    form.row(ClusterOptions, "angles", "unsafe_values")
    with gr.Row(elem_id="explaining"):
        explain = gr.Button("Explain the open run", elem_id="explain", size="md", **NARROW)
        offer = gr.Button(visible=False, elem_id="offer", size="md", **NARROW)

    def look(
        text: str | None, run: str | None, offered: tuple[str, str], *entered: str | None
    ) -> list[object]:
        names = [table.name for table in folders.tables_beside(page, text, run)]
        beside = f"Parameters · {count_of(len(names), 'table')} beside the images"
        # Tables beside other images do not apply to these; what the user typed stays.
        stale = any(offered) and entered == offered != find(text, run)
        return [
            gr.Accordion(label=beside if names else PARAMETERS),
            gr.Button(f"Use {_listed(names)}", visible=bool(names)),
            *([("", ""), "", ""] if stale else [gr.skip()] * 3),
        ]

    def find(text: str | None, run: str | None) -> tuple[str, str]:
        beside = folders.tables_beside(page, text, run)
        tables = [str(table) for table in beside if table.name != UNSAFE_VALUES]
        return "\n".join(tables), "".join(str(t) for t in beside if t.name == UNSAFE_VALUES)

    def use(text: str | None, run: str | None) -> tuple[tuple[str, str], str, str]:
        tables = find(text, run)
        return tables, *tables

    places = [form.fields["images"], form.fields["opened"]]
    fields = [form.fields["parameters"], form.fields["unsafe_values"]]
    offered = gr.State(("", ""))
    gr.on(
        [place.change for place in places],
        look,
        [*places, offered, *fields],
        [accordion, offer, offered, *fields],
        **HIDDEN,
    )
    offer.click(use, places, [offered, *fields], **HIDDEN)
    return explain


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _options(page: Page, form: Form) -> None:
    with gr.Row():
        where = f"Where the results go. Empty: a new folder in {page.runs}"
        form.add(ClusterOptions, "out", info=where)
        form.add(ClusterOptions, "recipe")
    form.row(ClusterOptions, "layer", "weights")
    form.row(ClusterOptions, "components", "eps", "min_samples")
    form.row(ClusterOptions, "seed", "batch_size", "precision", "groups")


# --- the job ------------------------------------------------------------------------------------


def _find(page: Page, entries: Entries) -> list[Command]:
    passing = text_of(entries, "passing")
    test = page.access.resolve(passing) if passing else None
    if test is not None and folders.is_test(test):
        # A test names its own images: the other field can only hold the folder of the test.
        known = {"images": None, "passing": None, "test_run": test}
        options = read(page, ClusterOptions, entries, out=UNPLACED, **known)
        images = page.access.resolve(str(folders.images_of(test)))
    else:
        options = read(page, ClusterOptions, entries, out=UNPLACED)
        assert options.images is not None
        images = options.images
    _check_tables(options, images)
    place = text_of(entries, "out")
    out = page.access.resolve(place) if place else folders.new_run_folder(page, images)
    overwrite = folders.may_replace(out, images)
    return [build_command("cluster", replace(options, out=out, overwrite=overwrite))]


def _check_tables(options: ClusterOptions | ExplainOptions, images: Path) -> None:
    """Raise InputError if tables are not about these images.

    Different folders often use the same names of images. So a table that lies beside other images
    is refused.
    """
    values = [options.unsafe_values] if options.unsafe_values else []
    for table in (*options.parameters, *values):
        if table.name in TABLES and table.is_file() and table.parent != images:
            raise InputError(
                f"{table} lies beside other images than {images}. Copy it elsewhere if it is about "
                "these, too."
            )
    if (values or options.angles) and not options.parameters:
        raise InputError("Angles and unsafe values belong to parameters: give their table, too.")


def _explain(page: Page, entries: Entries) -> list[Command]:
    """Return the command that explains the open run again; the run stays open during the job."""
    folder = _run(page, entries)
    options = read(page, ExplainOptions, entries, run=folder)
    _check_tables(options, Path(read_manifest(folder).folder))
    return [build_command("explain", options, folder)]


def _run(page: Page, entries: Entries) -> Path:
    run = text_of(entries, "opened")
    if not run:
        raise InputError("Open the run to be explained first.")
    folder = page.access.resolve(run)
    _served(page, folder)  # raises InputError if the folder is no run
    return folder


def _close() -> list[object]:
    """Close the open run, because a job will make another one."""
    return [gr.HTML(value=None), gr.Dropdown(value=None)]


def _try_example(page: Page) -> list[object]:
    """Open the example's run; if there is none, start the job that makes it."""
    if run := example.run_of_example(page):
        timer, *opening = _choose(page, str(run))
        return [*[gr.skip()] * 2, timer, gr.skip(), *opening, _runs(page, run)]
    busy = wiring.is_running(page)  # another page started a job: follow that job
    updates = wiring.start(page, example.commands(page))
    return [*updates, *([gr.skip()] * 2 if busy else _close())]


def _turned(page: Page, look: Look, entries: Entries) -> list[object] | None:
    """Open the run of a job that has just finished.

    A user who has opened another run in the meantime gets a message instead.
    """
    if look.state == "running" or not wiring.does(look, *JOBS):
        return None
    browsed = text_of(entries, "opened")
    is_open = wiring.is_run(page, browsed, look.folder)  # the job explained it, or tried to
    if not (is_open or look.state == "finished"):
        return None
    if browsed and not is_open:
        message = notice(f"The job has finished: open {look.folder.name} under “Open a run”.")
        return [message, gr.skip(), _runs(page)]
    return [*_open(page, str(look.folder)), _runs(page, look.folder)]


# --- runs ---------------------------------------------------------------------------------------


def _arrive(page: Page, requested: str | None) -> list[object]:
    """Show the job and a run on a newly loaded page: the run in its address, else the last one."""
    look = page.jobs.look()
    running = look is not None and look.state == "running"
    runs = [folder for folder, _ in list_runs(page.runs) if folders.has_clusters(folder)]
    if look is not None and look.state == "finished" and folders.has_clusters(look.folder):
        runs.insert(0, look.folder)  # it may lie in another folder
    state = wiring.state(look, arrived=True)
    if requested:
        message, browser = _open(page, requested)
        return [*state[:-1], state[-1] if running else message, browser, _runs(page, requested)]
    if runs and not running:
        message, browser = _open(page, str(runs[0]))
        return [*state[:-1], message, browser, _runs(page, runs[0])]
    return [*state, gr.skip(), _runs(page)]


def _open(page: Page, path: str | None) -> list[object]:
    """Open the run that a user named; returns the updates of the message and the pane."""
    if not path:
        return [gr.skip(), gr.skip()]
    try:
        return [describe(page.jobs.look()), _served(page, page.access.resolve(path))]
    except InputError as error:
        return [notice(str(error), "error"), gr.skip()]


def _choose(page: Page, path: str | None) -> list[object]:
    """Open a run, and follow the running job, which may explain this run for another page."""
    look = page.jobs.look()
    # The timer is never stopped here: a page that follows a job has yet to see its end.
    follow = look is not None and look.state == "running"
    return [gr.Timer(active=True) if follow else gr.skip(), *_open(page, path)]


def _served(page: Page, folder: Path) -> dict[str, object]:
    """Return what the pane's script needs to show a run.

    The script shows the run again whenever this value changes, also after the run was explained.
    `busy` says that a job of the page explains the run.
    """
    try:
        started = read_manifest(folder).started_at
    except InputError as error:
        raise InputError(f"{folder} is not a run folder: {error}.") from error
    look = page.jobs.look()
    return {
        "key": page.served.key(folder),
        "started": started,
        "explained": folders.changed(folder / EXPLANATION_FILE),
        "busy": wiring.is_running(page) and look is not None and look.folder == folder,
    }


def _runs(page: Page, chosen: str | Path | None = None) -> gr.Dropdown:
    choices = folders.list_run_choices(page)
    if chosen is None:
        return gr.Dropdown(choices=choices)
    return gr.Dropdown(choices=choices, value=str(chosen))
