"""The Clusters tab: from a folder of failing images to root cause clusters on the screen."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app import folders
from app.folders import EXAMPLE_RUN
from app.jobs import Command, Look
from app.notices import describe, notice
from app.page import Page
from examples.eyes import COMPLETE, FAILURES
from pipelines.errors import InputError
from pipelines.images import check_folder
from pipelines.runs import list_runs, read_manifest
from pipelines.safe.features import WIDTHS

SCRIPT = Path(__file__).resolve().parents[2] / "assets" / "clusters.js"
SECONDS_BETWEEN_LOOKS = 0.5
EXAMPLE_IMAGES = "example-images"
NARROW: dict[str, Any] = {"scale": 0, "min_width": 90}


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
    seed: int
    batch_size: int
    precision: str
    weights: str


USUAL = Form("", "", "default", (), "", "", "", 0, 8, "auto", "")


def _form(values: Sequence[Any]) -> Form:
    """Read the form; fields that were never shown arrive as None."""
    pairs = zip(values, astuple(USUAL), strict=True)
    return Form(*(usual if value is None else value for value, usual in pairs))


def create_tab(page: Page, blocks: gr.Blocks) -> None:
    """Fill the tab that is open, and wire it."""
    seen = gr.State("")
    place = gr.State("")
    timer = gr.Timer(SECONDS_BETWEEN_LOOKS, active=False)
    with gr.Row(elem_id="ask"):
        folder = gr.Dropdown(
            label="Folder of images on which the DNN failed",
            choices=[],
            value=None,
            allow_custom_value=True,
            scale=5,
            elem_id="folder",
        )
        opened = gr.Dropdown(
            label="Open a run",
            choices=[],
            value=None,
            allow_custom_value=True,
            scale=3,
            elem_id="open-run",
        )
    with gr.Row(elem_id="actions"):
        find = gr.Button("Find root cause clusters", variant="primary", elem_id="find", **NARROW)
        stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop", **NARROW)
        browse = gr.Button("Browse…", elem_id="browse", **NARROW)
        example = gr.Button("Try the example", elem_id="example", **NARROW)
        count = gr.HTML(elem_id="count", padding=False)
    with gr.Column(visible=False, elem_id="picker") as picker:
        inside = gr.Radio(choices=[], label="Folders", elem_id="folders")
        take = gr.Button("Use this folder", elem_id="take", **NARROW)
    with gr.Accordion("Options", open=False, elem_id="options"):
        fields = _options(page)
    command = gr.Textbox(
        label="The same on the command line",
        interactive=False,
        visible=False,
        lines=1,
        max_lines=4,
        buttons=["copy"],
        elem_id="command",
    )
    job = gr.HTML(elem_id="job", padding=False)
    browser = gr.HTML(
        value=None,
        html_template="",  # names reach the page as text, through the script, and never a template
        js_on_load=SCRIPT.read_text(encoding="utf-8"),
        elem_id="clusters",
    )
    form = [folder, *fields]
    shown = [seen, timer, find, example, stop, job, browser, opened]

    def arrive(request: gr.Request) -> list[Any]:
        return _arrive(page, request.query_params.get("run"))

    def follow(seen: str, browsed: str | None) -> list[Any]:
        return _follow(page, seen, browsed)

    counting: dict[str | None, object] = {}

    def count_images(text: str | None, request: gr.Request) -> Iterator[str]:
        counting[request.session_hash] = mine = object()
        for said in folders.count_images(page, text or ""):
            if counting[request.session_hash] is not mine:  # another folder was given meanwhile
                return
            yield said

    def show_line(*values: Any) -> gr.Textbox:
        return _line(page, _form(values))

    def start(*values: Any) -> list[Any]:
        return _find(page, _form(values))

    def browse_from(text: str | None, listed: str) -> list[Any]:
        if listed:  # a second click closes the list
            return [gr.Column(visible=False), "", gr.skip()]
        return [gr.Column(visible=True), *_list_folders(page, text or "")]

    hidden: dict[str, Any] = {"show_progress": "hidden"}
    blocks.load(arrive, None, shown, **hidden)
    timer.tick(follow, [seen, opened], shown, **hidden)
    find.click(start, form, shown, **hidden)
    example.click(lambda: _try_example(page), None, shown, **hidden)
    stop.click(lambda browsed: _stop(page, browsed), opened, shown, **hidden)

    folder.focus(lambda: gr.Dropdown(choices=folders.recent(page)), None, folder, **hidden)
    folder.change(count_images, folder, count, trigger_mode="multiple", **hidden)
    changes = [field.change for field in (*form, opened)]
    gr.on(changes, show_line, form, command, trigger_mode="always_last", **hidden)

    browse.click(browse_from, [folder, place], [picker, place, inside], **hidden)
    inside.input(lambda path: _list_folders(page, path), inside, [place, inside], **hidden)
    take.click(
        lambda path: (path, gr.Column(visible=False), ""), place, [folder, picker, place], **hidden
    )

    opened.focus(lambda: _runs(page), None, opened, **hidden)
    opened.input(lambda path: _open(page, path), opened, [job, browser], **hidden)


def _options(page: Page) -> list[Any]:
    with gr.Row():
        out = gr.Textbox(
            label="Run folder",
            info=f"Where the results go. Empty: a new folder in {page.runs}",
            elem_id="out",
        )
        recipe = gr.Radio(
            ["default", "paper"],
            value=USUAL.recipe,
            label="Recipe",
            info="default: what measured best. paper: SAFE as printed; downloads 528 MB.",
        )
    with gr.Row():
        layers = gr.Dropdown(
            list(WIDTHS), multiselect=True, label="Layers of VGG16", info="Empty: the recipe's."
        )
        weights = gr.Textbox(label="Weights of VGG16", info="A Keras file. Empty: ImageNet's.")
    with gr.Row():
        # Text, because an empty number arrives as 0.
        components = gr.Textbox(label="Principal components", info="Empty: the recipe's.")
        eps = gr.Textbox(label="eps of DBSCAN", info="Empty: searched.")
        min_samples = gr.Textbox(label="min_samples of DBSCAN", info="Empty: searched.")
    with gr.Row():
        seed = gr.Number(
            USUAL.seed,
            label="Seed",
            info="Of the randomised PCA, and of hints.",
            precision=0,
            minimum=0,
        )
        batch_size = gr.Number(
            USUAL.batch_size,
            label="Batch size",
            info="Images the network sees at once.",
            precision=0,
            minimum=1,
        )
        precision = gr.Radio(
            ["auto", "float32", "bfloat16"],
            value=USUAL.precision,
            label="Precision",
            info="auto: what the CPU does fastest.",
        )
    # In the order of `Form`.
    return [
        out, recipe, layers, components, min_samples, eps, seed, batch_size, precision, weights,
    ]  # fmt: skip


def _list_folders(page: Page, text: str) -> tuple[str, gr.Radio]:
    place, words, choices = folders.list_folders(page, text)
    return str(place), gr.Radio(choices=choices, label=words, value=None)


# --- the job ------------------------------------------------------------------------------------


def _command(page: Page, form: Form) -> Command:
    """Return the command that the form asks for.

    Raises
    ------
    InputError
        When a field cannot be used.
    """
    images = page.access.resolve(form.folder)
    given = form.out.strip()
    out = page.access.resolve(given) if given else folders.new_run_folder(page, images)
    arguments = ["cluster", str(images), "--out", str(out)]
    if folders.may_replace(out, images):
        arguments.append("--overwrite")
    if form.recipe != USUAL.recipe:
        arguments += ["--recipe", form.recipe]
    if form.weights.strip():
        arguments += ["--weights", str(page.access.resolve(form.weights))]
    for layer in form.layers:
        arguments += ["--layer", layer]
    for option, text in (
        ("--components", form.components),
        ("--min-samples", form.min_samples),
        ("--eps", form.eps),
    ):
        if text.strip():
            arguments += [option, _positive(option, text)]
    if form.seed != USUAL.seed:
        arguments += ["--seed", str(form.seed)]
    if form.batch_size != USUAL.batch_size:
        arguments += ["--batch-size", str(form.batch_size)]
    if form.precision != USUAL.precision:
        arguments += ["--precision", form.precision]
    return Command(tuple(arguments), out)


def _positive(option: str, text: str) -> str:
    try:
        number = float(text) if option == "--eps" else int(text)
    except ValueError:
        number = 0
    if number <= 0:
        kind = "number" if option == "--eps" else "whole number"
        raise InputError(f"{option}: expected a positive {kind}, received {text!r}.")
    return str(number)


def _line(page: Page, form: Form) -> gr.Textbox:
    """Show the command line of the form, where it makes one; Find says why not."""
    if form.folder.strip():
        try:
            return gr.Textbox(_command(page, form).line(), visible=True)
        except InputError:
            pass
    return gr.Textbox("", visible=False)


def _find(page: Page, form: Form) -> list[Any]:
    if not form.folder.strip():
        return _say("Give the folder that holds the images, or try the example.")
    try:
        check_folder(page.access.resolve(form.folder))
        return _start(page, [_command(page, form)])
    except InputError as error:
        return _say(str(error))


def _try_example(page: Page) -> list[Any]:
    """Open the example's run; find it first, and draw the example before that, where need be."""
    images, run = page.runs / EXAMPLE_IMAGES, page.runs / EXAMPLE_RUN
    failures = images / FAILURES
    try:
        manifest = read_manifest(run)
        replace = True
        if (manifest.ended, manifest.folder) == ("finished", str(failures)):
            return [*[gr.skip()] * 5, *_open(page, str(run)), _runs(page, run)]
    except InputError:
        replace = False
    commands = []
    if not (images / COMPLETE).is_file():
        commands.append(Command(("example", str(images)), images))
    arguments = ["cluster", str(failures), "--out", str(run), *["--overwrite"] * replace]
    return _start(page, [*commands, Command(tuple(arguments), run)])


def _start(page: Page, commands: list[Command]) -> list[Any]:
    try:
        page.jobs.start(commands)
    except InputError as error:  # another page started one: follow that
        gr.Warning(html.escape(str(error)))
        return [*_state(page.jobs.look()), gr.skip(), gr.skip()]
    return [*_state(page.jobs.look()), gr.HTML(value=None), gr.Dropdown(value=None)]


def _stop(page: Page, browsed: str | None) -> list[Any]:
    page.jobs.stop()
    return _follow(page, "", browsed)


def _follow(page: Page, seen: str, browsed: str | None) -> list[Any]:
    """Show how the job stands if that changed; open its run when it has finished.

    Whoever opened another run meanwhile is only told.
    """
    look = page.jobs.look()
    if look is None or repr(look) == seen:
        return [seen, *[gr.skip()] * 7]
    state = _state(look)
    if look.state != "finished":
        return [*state, gr.skip(), gr.skip()]
    if browsed:
        told = notice(f"The job has finished: open {look.folder.name} under “Open a run”.")
        return [*state[:-1], told, gr.skip(), _runs(page)]
    return [*state[:-1], *_open(page, str(look.folder)), _runs(page, look.folder)]


def _state(look: Look | None) -> list[Any]:
    """Return what depends on the job alone: state seen, timer, buttons, line and bar."""
    running = look is not None and look.state == "running"
    stopping = look is not None and look.stopping
    return [
        repr(look),
        gr.Timer(active=running),
        gr.Button(interactive=not running),
        gr.Button(interactive=not running),
        gr.Button("Kill" if stopping else "Stop", visible=running),
        describe(look),
    ]


# --- runs ---------------------------------------------------------------------------------------


def _arrive(page: Page, asked: str | None) -> list[Any]:
    """Show a page that was just loaded the job, and the run in its address or else the last one."""
    look = page.jobs.look()
    running = look is not None and look.state == "running"
    runs = [folder for folder, _ in list_runs(page.runs) if folders.has_clusters(folder)]
    if look is not None and look.state == "finished" and folders.has_clusters(look.folder):
        runs.insert(0, look.folder)  # it may lie elsewhere
    state = _state(look)
    if asked:
        told, browser = _open(page, asked)
        return [*state[:-1], state[-1] if running else told, browser, _runs(page, asked)]
    if runs and not running:
        told, browser = _open(page, str(runs[0]))
        return [*state[:-1], told, browser, _runs(page, runs[0])]
    return [*state, gr.skip(), _runs(page)]


def _say(text: str) -> list[Any]:
    return [*[gr.skip()] * 5, notice(text, "error"), gr.skip(), gr.skip()]


def _open(page: Page, path: str | None) -> list[Any]:
    """Open the run that a user named: what there is to say, and the browser."""
    if not path:
        return [gr.skip(), gr.skip()]
    try:
        return [describe(page.jobs.look()), _served(page, page.access.resolve(path))]
    except InputError as error:
        return [notice(str(error), "error"), gr.skip()]


def _served(page: Page, folder: Path) -> dict[str, str]:
    """Return what the browser's script needs to show a run."""
    try:
        started = read_manifest(folder).started_at
    except InputError as error:
        raise InputError(f"{folder} is not a run folder: {error}.") from error
    return {"key": page.served.key(folder), "started": started}


def _runs(page: Page, chosen: str | Path | None = None) -> gr.Dropdown:
    choices = folders.list_run_choices(page)
    if chosen is None:
        return gr.Dropdown(choices=choices)
    return gr.Dropdown(choices=choices, value=str(chosen))
