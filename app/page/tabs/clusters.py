"""The Clusters tab: from a folder of failing images to root cause clusters on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app.numbers import COUNT, POSITIVE, SEED, read_number
from app.page import example, folders, wiring
from app.page.context import Page
from app.page.fields import NARROW, command_line, complete_folder_field, read_form, result_pane
from app.page.notices import describe, notice
from app.page.wiring import HIDDEN, Following, Turn
from app.server.jobs import Command
from pipelines.clusters.explanation import EXPLANATION_FILE
from pipelines.data.images import TABLES, folder_of
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import list_runs, read_manifest
from pipelines.runs.wording import count_of
from pipelines.safe.features import WIDTHS

GIVEN = "Parameters of the images"
JOBS = ("cluster", "explain", "example")
UNSAFE_VALUES = "unsafe_values.csv"


@dataclass(frozen=True)
class Form:
    """What the user asks for; empty leaves the choice to the tool.

    The fields are those of the form, in its order.
    """

    folder: str
    out: str
    recipe: str
    layers: tuple[str, ...]
    components: str
    min_samples: str
    eps: str
    seed: str
    batch_size: str
    precision: str
    weights: str
    parameters: str
    angles: str
    unsafe_values: str
    passing: str
    groups: str


BY_INPUT = "by input"
USUAL = Form("", "", BY_INPUT, (), "", "", "", "0", "8", "auto", "", "", "", "", "", "")


def create_tab(page: Page, blocks: gr.Blocks, parts: Following) -> None:
    """Fill the tab that is open, and wire it."""
    opened = parts.opened
    with gr.Row(elem_classes="ask"):
        folder = gr.Dropdown(
            label="Folder of images on which the DNN failed",
            choices=[],
            value=None,
            allow_custom_value=True,
            elem_id="folder",
        )
        passing = gr.Dropdown(
            label="Passing images of the same test, or the folder of a test",
            info="They tell causes from what all pictures show, and how often images like these "
            "fail. A test names its failing images, too.",
            choices=[],
            value=None,
            allow_custom_value=True,
            elem_id="passing",
        )
    with gr.Row(elem_classes="actions"):
        find = gr.Button("Find root cause clusters", variant="primary", elem_id="find", **NARROW)
        browse = gr.Button("Browse…", elem_id="browse", **NARROW)
        try_example = gr.Button("Try the example", elem_id="example", **NARROW)
        count = gr.HTML(elem_id="count", elem_classes="count", padding=False)
    complete_folder_field(page, folder, browse, count, folders.recent)
    with gr.Row(elem_classes="more"):
        with gr.Accordion("Options", open=False, elem_id="options"):
            options, groups = _options(page)
        with gr.Accordion(GIVEN, open=False, elem_id="given") as accordion:
            given, explain = _given_fields(page, accordion, folder, opened)
    command = command_line("command")
    browser = result_pane("clusters", "clusters/pane.js")
    form = [folder, *options, *given, passing, groups]
    result = [*parts.outputs(), browser, opened]

    def arrive(request: gr.Request) -> list[Any]:
        return _arrive(page, request.query_params.get("run"))

    def turned(turn: Turn, browsed: str | None) -> list[Any]:
        return _turned(page, turn, browsed)

    def show_line(*values: Any) -> gr.Textbox:
        return _line(page, read_form(USUAL, values))

    def start(*values: Any) -> list[Any]:
        return _find(page, read_form(USUAL, values))

    def start_explaining(run: str | None, *values: Any) -> list[Any]:
        return _explain(page, run, read_form(USUAL, values))

    blocks.load(arrive, None, result, **HIDDEN)
    find.click(start, form, result, **HIDDEN)
    try_example.click(lambda: _try_example(page), None, result, **HIDDEN)
    explain.click(start_explaining, [opened, *form], result, **HIDDEN)
    buttons = [find, try_example, explain]
    parts.turn.change(
        turned, [parts.turn, opened], [*buttons, parts.told, browser, opened], **HIDDEN
    )

    passing.focus(
        lambda: gr.Dropdown(choices=folders.list_test_choices(page)), None, passing, **HIDDEN
    )
    changes = [field.change for field in (*form, opened)]
    gr.on(changes, show_line, form, command, trigger_mode="always_last", **HIDDEN)

    opened.focus(lambda: _runs(page), None, opened, **HIDDEN)
    opened.input(
        lambda path: _choose(page, path), opened, [parts.timer, parts.told, browser], **HIDDEN
    )


def _given_fields(
    page: Page, accordion: gr.Accordion, folder: gr.Dropdown, opened: gr.Dropdown
) -> tuple[list[Any], gr.Button]:
    """Make the fields for what is known of the images, and the button that explains a run anew."""
    parameters = gr.Textbox(
        label="Parameter tables",
        info="CSV files, one a line: a row an image, failing or passing, its path first. Columns "
        "“label” and “prediction” tell confusions. Empty: those that were given before.",
        lines=2,
        max_lines=6,
        elem_id="parameters",
    )
    with gr.Row():
        angles = gr.Textbox(
            label="Angles", info="Columns in degrees, with commas between.", elem_id="angles"
        )
        unsafe_values = gr.Textbox(
            label="Unsafe values",
            info="A CSV file with the columns parameter, value and side.",
            elem_id="unsafe-values",
        )
    with gr.Row(elem_id="explaining"):
        explain = gr.Button("Explain the open run", elem_id="explain", size="md", **NARROW)
        offer = gr.Button(visible=False, elem_id="offer", size="md", **NARROW)

    def look(
        text: str | None, run: str | None, offered: tuple[str, str], *given: str | None
    ) -> list[Any]:
        names = [table.name for table in folders.tables_beside(page, text, run)]
        beside = f"Parameters · {count_of(len(names), 'table')} beside the images"
        # What was taken from beside other images says nothing of these; what was typed stays.
        stale = any(offered) and given == offered != find(text, run)
        return [
            gr.Accordion(label=beside if names else GIVEN),
            gr.Button(f"Use {_listed(names)}", visible=bool(names)),
            *([("", ""), "", ""] if stale else [gr.skip()] * 3),
        ]

    def find(text: str | None, run: str | None) -> tuple[str, str]:
        found = folders.tables_beside(page, text, run)
        tables = [str(table) for table in found if table.name != UNSAFE_VALUES]
        return "\n".join(tables), "".join(str(t) for t in found if t.name == UNSAFE_VALUES)

    def use(text: str | None, run: str | None) -> tuple[tuple[str, str], str, str]:
        tables = find(text, run)
        return tables, *tables

    places, fields = [folder, opened], [parameters, unsafe_values]
    offered = gr.State(("", ""))
    gr.on(
        [folder.change, opened.change],
        look,
        [*places, offered, *fields],
        [accordion, offer, offered, *fields],
        **HIDDEN,
    )
    offer.click(use, places, [offered, *fields], **HIDDEN)
    return [parameters, angles, unsafe_values], explain  # in the order of `Form`


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _options(page: Page) -> tuple[list[Any], gr.Textbox]:
    with gr.Row():
        out = gr.Textbox(
            label="Run folder",
            info=f"Where the results go. Empty: a new folder in {page.runs}",
            elem_id="out",
        )
        recipe = gr.Radio(
            [BY_INPUT, "contrast", "appearance", "default", "paper"],
            value=USUAL.recipe,
            label="Recipe",
            info="by input: contrast with passing images, else appearance. paper: SAFE as printed; "
            "downloads 528 MB.",
        )
    with gr.Row():
        layers = gr.Dropdown(
            list(WIDTHS), multiselect=True, label="Layers of VGG16", info="Empty: the recipe's."
        )
        weights = gr.Textbox(label="Weights of VGG16", info="A Keras file. Empty: ImageNet's.")
    with gr.Row():
        # Text, because a browser makes another number of one that it does not understand.
        components = gr.Textbox(label="Principal components", info="Empty: the recipe's.")
        eps = gr.Textbox(label="eps of DBSCAN", info="Empty: searched.")
        min_samples = gr.Textbox(label="min_samples of DBSCAN", info="Empty: searched.")
    with gr.Row():
        seed = gr.Textbox(
            USUAL.seed,
            label="Seed",
            info="Of the randomised PCA, and of the random groups that hints and parameters are "
            "tested against.",
        )
        batch_size = gr.Textbox(
            USUAL.batch_size, label="Batch size", info="Images the network sees at once."
        )
        precision = gr.Radio(
            ["auto", "float32", "bfloat16"],
            value=USUAL.precision,
            label="Precision",
            info="auto: what the CPU does fastest.",
        )
        groups = gr.Textbox(
            label="Groups of images",
            info="Of one track, drive or person: a column of the tables, a regular expression, or "
            "none. Empty: by names such as 00012_00003.png, else by pictures that are nearly the "
            "same.",
            elem_id="groups",
        )
    # In the order of `Form`, as below.
    fields = [
        out, recipe, layers, components, min_samples, eps, seed, batch_size, precision, weights,
    ]  # fmt: skip
    return fields, groups


# --- the job ------------------------------------------------------------------------------------


def _command(page: Page, form: Form) -> Command:
    """Return the command that the form asks for.

    Raises
    ------
    InputError
        When a field cannot be used.
    """
    passing = page.access.resolve(form.passing) if form.passing.strip() else None
    is_test = passing is not None and folders.is_test(passing)
    # A test names its own images: a folder that is given beside it is that of the test.
    images = (
        page.access.resolve(str(folders.images_of(passing)))
        if passing is not None and is_test
        else page.access.resolve(form.folder)
    )
    given = form.out.strip()
    out = page.access.resolve(given) if given else folders.new_run_folder(page, images)
    arguments = ["cluster", *([] if is_test else [str(images)]), "--out", str(out)]
    if passing is not None:
        arguments += ["--test-run" if is_test else "--passing", str(passing)]
    if form.groups.strip():
        arguments.append(f"--groups={form.groups.strip()}")  # it may begin with a dash
    if folders.may_replace(out, images):
        arguments.append("--overwrite")
    if form.recipe != USUAL.recipe:
        arguments += ["--recipe", form.recipe]
    if form.weights.strip():
        arguments += ["--weights", str(page.access.resolve(form.weights))]
    for layer in form.layers:
        arguments += ["--layer", layer]
    for option, label, text, usual, numbers in (
        ("--components", "Principal components", form.components, "", COUNT),
        ("--min-samples", "min_samples of DBSCAN", form.min_samples, "", COUNT),
        ("--eps", "eps of DBSCAN", form.eps, "", POSITIVE),
        ("--seed", "Seed", form.seed, USUAL.seed, SEED),
        ("--batch-size", "Batch size", form.batch_size, USUAL.batch_size, COUNT),
    ):
        if text.strip() and (number := read_number(label, text, numbers)) != usual:
            arguments += [option, number]
    if form.precision != USUAL.precision:
        arguments += ["--precision", form.precision]
    return Command((*arguments, *_given(page, form, images)), out)


def _given(page: Page, form: Form, images: Path) -> list[str]:
    """Return the options that give the parameters of the images.

    Names of images coincide often: a table that lies beside other images is not taken for these.
    """
    tables = [line for line in form.parameters.splitlines() if line.strip()]
    arguments = []
    for table in tables:
        arguments += ["--parameters", str(page.access.resolve(table))]
    for name in form.angles.split(","):
        if name.strip():
            arguments.append(f"--angles={name.strip()}")  # it may begin with a dash
    if form.unsafe_values.strip():
        arguments += ["--unsafe-values", str(page.access.resolve(form.unsafe_values))]
    for given in map(Path, arguments):
        if given.name in TABLES and given.is_file() and given.parent != images:
            raise InputError(
                f"{given} lies beside other images than {images}. Copy it elsewhere if it speaks "
                "of these, too."
            )
    if arguments and not tables:
        raise InputError("Angles and unsafe values speak of parameters: give their table, too.")
    return arguments


def _line(page: Page, form: Form) -> gr.Textbox:
    """Show the command line of the form, where it makes one; Find says why not."""
    if form.folder.strip() or form.passing.strip():
        try:
            return gr.Textbox(_command(page, form).line(), visible=True)
        except InputError:
            pass
    return gr.Textbox("", visible=False)


def _find(page: Page, form: Form) -> list[Any]:
    if not form.folder.strip() and not form.passing.strip():
        return _say("Give the folder that holds the images, or try the example.")
    try:
        command = _command(page, form)
        for text in (form.folder, form.passing):
            if text.strip() and not folders.is_test(page.access.resolve(text)):
                # A list may name a folder elsewhere.
                page.access.resolve(str(folder_of(page.access.resolve(text))))
        return _start(page, [command])
    except InputError as error:
        return _say(str(error))


def _explain(page: Page, run: str | None, form: Form) -> list[Any]:
    """Explain the open run anew; it stays open, and opens again when that has finished."""
    if not run:
        return _say("Open the run first that is to be explained.")
    try:
        folder = page.access.resolve(run)
        _served(page, folder)  # or it is no run
        given = _given(page, form, Path(read_manifest(folder).folder))
        command = Command(("explain", str(folder), *given), folder)
        return [*wiring.start(page, [command]), _served(page, folder), gr.skip()]
    except InputError as error:
        return _say(str(error))


def _try_example(page: Page) -> list[Any]:
    """Open the example's run; find it first, and draw and test the example, where need be."""
    if run := example.run_of_example(page):
        timer, *opening = _choose(page, str(run))
        return [*[gr.skip()] * 2, timer, gr.skip(), *opening, _runs(page, run)]
    return _start(page, example.commands(page))


def _start(page: Page, commands: list[Command]) -> list[Any]:
    if wiring.is_running(page):  # another page started a job: follow that
        return [*wiring.start(page, commands), gr.skip(), gr.skip()]
    return [*wiring.start(page, commands), gr.HTML(value=None), gr.Dropdown(value=None)]


def _turned(page: Page, turn: Turn, browsed: str | None) -> list[Any]:
    """Allow what can be done now; open the run of a job that has just finished.

    Whoever opened another run meanwhile is only told.
    """
    look = page.jobs.look()
    running = wiring.is_running(page)
    buttons = [gr.Button(interactive=not running)] * 3
    nothing = [*buttons, gr.skip(), gr.skip(), gr.skip()]
    if look is None or running or not turn[1] or not wiring.does(look, *JOBS):
        return nothing
    is_open = wiring.is_run(page, browsed, look.folder)  # it was explained, or could not be
    if not (is_open or look.state == "finished"):
        return nothing
    if browsed and not is_open:
        told = notice(f"The job has finished: open {look.folder.name} under “Open a run”.")
        return [*buttons, told, gr.skip(), _runs(page)]
    return [*buttons, *_open(page, str(look.folder)), _runs(page, look.folder)]


# --- runs ---------------------------------------------------------------------------------------


def _arrive(page: Page, asked: str | None) -> list[Any]:
    """Show a page that was just loaded the job, and the run in its address or else the last one."""
    look = page.jobs.look()
    running = look is not None and look.state == "running"
    runs = [folder for folder, _ in list_runs(page.runs) if folders.has_clusters(folder)]
    if look is not None and look.state == "finished" and folders.has_clusters(look.folder):
        runs.insert(0, look.folder)  # it may lie elsewhere
    state = wiring.state(look, arrived=True)
    if asked:
        told, browser = _open(page, asked)
        return [*state[:-1], state[-1] if running else told, browser, _runs(page, asked)]
    if runs and not running:
        told, browser = _open(page, str(runs[0]))
        return [*state[:-1], told, browser, _runs(page, runs[0])]
    return [*state, gr.skip(), _runs(page)]


def _say(text: str) -> list[Any]:
    return [*wiring.say(text), gr.skip(), gr.skip()]


def _open(page: Page, path: str | None) -> list[Any]:
    """Open the run that a user named: what there is to say, and the browser."""
    if not path:
        return [gr.skip(), gr.skip()]
    try:
        return [describe(page.jobs.look()), _served(page, page.access.resolve(path))]
    except InputError as error:
        return [notice(str(error), "error"), gr.skip()]


def _choose(page: Page, path: str | None) -> list[Any]:
    """Open a run; one that a job of another tab explains is followed until it has."""
    look = page.jobs.look()
    # The timer is never stopped here: a page that follows a job is still to see its end.
    follow = look is not None and look.state == "running"
    return [gr.Timer(active=True) if follow else gr.skip(), *_open(page, path)]


def _served(page: Page, folder: Path) -> dict[str, Any]:
    """Return what the browser's script needs to show a run.

    That it differs makes the script show the run: also one that was explained since.  It is busy
    while a job of the page explains it.
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
