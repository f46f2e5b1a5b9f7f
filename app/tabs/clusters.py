"""The Clusters tab: from a folder of failing images to root cause clusters on the screen."""

from __future__ import annotations

import html
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import gradio as gr

from app.jobs import Command, Look
from app.page import Page
from app.served import describe
from pipelines.clusters import IMAGES_FILE, save_words
from pipelines.errors import InputError
from pipelines.images import check_folder, check_header, find_files
from pipelines.runs import MANIFEST_FILE, is_written, list_runs, read_manifest
from pipelines.safe.features import WIDTHS

SCRIPT = Path(__file__).resolve().parents[2] / "assets" / "clusters.js"
SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_BETWEEN_COUNTS = 0.3
MOST_FOLDERS = 500
LONGEST_NAME = 200
LONGEST_NOTE = 20_000
EXAMPLE_IMAGES = "example-images"
EXAMPLE_COMPLETE = "example.json"
EXAMPLE_FAILURES = "failures"
EXAMPLE_RUN = "example"


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


def _form(values: Sequence[Any]) -> Form:
    """Read the form; fields that were never shown arrive as None."""
    empty = Form("", "", "default", (), "", "", "", 0, 8, "auto", "")
    return Form(
        *(
            usual if value is None else value
            for value, usual in zip(values, astuple(empty), strict=True)
        )
    )


def create_tab(page: Page, blocks: gr.Blocks) -> None:
    """Fill the tab that is open, and wire it."""
    seen = gr.State("")
    browsing = gr.State(False)
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
        find = gr.Button(
            "Find root cause clusters", variant="primary", elem_id="find", scale=0, min_width=90
        )
        stop = gr.Button(
            "Stop", variant="stop", visible=False, elem_id="stop", scale=0, min_width=90
        )
        browse = gr.Button("Browse…", elem_id="browse", scale=0, min_width=90)
        example = gr.Button("Try the example", elem_id="example", scale=0, min_width=90)
        count = gr.HTML(elem_id="count", padding=False)
    with gr.Column(visible=False, elem_id="picker") as picker:
        inside = gr.Radio(choices=[], label="Folders", elem_id="folders")
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
        server_functions=[_saver(page)],
        elem_id="clusters",
    )
    form = [folder, *fields]
    shown = [seen, timer, find, stop, job, browser, opened]

    def arrive(request: gr.Request) -> list[Any]:
        return _arrive(page, request.query_params.get("run"))

    def count_images(text: str | None) -> Iterator[str]:
        yield from _count(page, text)

    blocks.load(arrive, None, shown, show_progress="hidden")
    timer.tick(lambda seen: _follow(page, seen), seen, shown, show_progress="hidden")
    gr.on(
        [folder.change, folder.key_up],
        count_images,
        folder,
        count,
        show_progress="hidden",
        trigger_mode="always_last",
    )
    gr.on(
        [field.change for field in form],
        lambda *values: _line(page, _form(values)),
        form,
        command,
        show_progress="hidden",
        trigger_mode="always_last",
    )
    find.click(lambda *values: _find(page, _form(values)), form, shown, show_progress="hidden")
    example.click(lambda: _try_example(page), None, shown, show_progress="hidden")
    stop.click(lambda: _stop(page), None, shown, show_progress="hidden")
    opened.focus(lambda: _choices(page), None, opened, show_progress="hidden")
    opened.input(lambda path: _open(page, path), opened, [job, browser], show_progress="hidden")
    folder.focus(lambda: gr.Dropdown(choices=_recent(page)), None, folder, show_progress="hidden")
    browse.click(
        lambda browsing, text: (
            not browsing,
            gr.Column(visible=not browsing),
            _folders(page, text),
        ),
        [browsing, folder],
        [browsing, picker, inside],
        show_progress="hidden",
    )
    inside.input(
        lambda path: (gr.Dropdown(value=path), _folders(page, path)),
        inside,
        [folder, inside],
        show_progress="hidden",
    )


def _options(page: Page) -> list[Any]:
    with gr.Row():
        out = gr.Textbox(
            label="Run folder",
            info=f"Where the results go. Empty: a new folder in {page.runs}",
            elem_id="out",
        )
        recipe = gr.Radio(
            ["default", "paper"],
            value="default",
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
        seed = gr.Number(0, label="Seed", info="Of the randomised PCA.", precision=0, minimum=0)
        batch_size = gr.Number(
            8, label="Batch size", info="Images the network sees at once.", precision=0, minimum=1
        )
        precision = gr.Radio(
            ["auto", "float32", "bfloat16"],
            value="auto",
            label="Precision",
            info="auto: what the CPU does fastest.",
        )
    # In the order of `Form`.
    return [
        out, recipe, layers, components, min_samples, eps, seed, batch_size, precision, weights,
    ]  # fmt: skip


# --- the folder of images ---------------------------------------------------------------------


def _notice(text: str, kind: str = "note") -> str:
    return f'<div class="{kind}" role="status">{html.escape(text)}</div>' if text else ""


def _count(page: Page, text: str | None) -> Iterator[str]:
    """Count the usable images of a folder by their headers, and say so while it goes on."""
    if not (text or "").strip():
        yield ""
        return
    try:
        folder = page.access.resolve(text or "")
        paths, rejected = find_files(folder)
    except InputError as error:
        yield _notice(str(error), "error")
        return
    unusable, said = len(rejected), time.monotonic()
    for done, path in enumerate(paths, 1):
        unusable += check_header(folder, path) is not None
        if time.monotonic() - said > SECONDS_BETWEEN_COUNTS:
            said = time.monotonic()
            yield _notice(f"Counting: {done} of {len(paths)} files …")
    usable = len(paths) + len(rejected) - unusable
    others = f" {_number(unusable, 'other file')} cannot be used." if unusable else ""
    yield _notice(f"{_number(usable, 'usable image')}.{others}", "note" if usable else "error")


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _recent(page: Page) -> list[str]:
    """Return the folders of the runs in the page's folder, the latest first."""
    return list(dict.fromkeys(manifest.folder for _, manifest in list_runs(page.runs)))


def _folders(page: Page, text: str | None) -> gr.Radio:
    """List the folders inside the one that is named, or inside the user's home or the roots."""
    roots = page.access.roots
    try:
        folder = page.access.resolve(text) if text else (roots[0] if roots else Path.home())
        names = sorted(
            path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != "."
        )
    except (InputError, OSError):
        start = roots[0] if roots else Path.home()
        return gr.Radio(
            choices=[(str(root), str(root)) for root in (*roots, start)],
            label="This folder cannot be listed; start from",
            value=None,
        )
    choices = [(name, str(folder / name)) for name in names[:MOST_FOLDERS]]
    if folder in roots:
        choices[:0] = [(str(root), str(root)) for root in roots if root != folder]
    elif folder != folder.parent:
        choices.insert(0, (".. (up)", str(folder.parent)))
    label = f"Folders in {folder}"
    if len(names) > MOST_FOLDERS:
        label += f" (the first {MOST_FOLDERS} of {len(names)}: type the path of another)"
    return gr.Radio(choices=choices, label=label, value=None)


# --- the job ------------------------------------------------------------------------------------


def _run_folder(page: Page, folder: Path) -> tuple[Path, bool]:
    """Choose where the run of an images folder goes, and tell whether it replaces one there.

    A run that did not finish is replaced: what it extracted is in the feature store.
    """
    name = folder.name.lstrip(".-") or "run"
    number = 1
    while True:
        out = page.runs / (name if number == 1 else f"{name}-{number}")
        if not out.exists():
            return out, False
        if (out / MANIFEST_FILE).is_file() and not is_written(out):
            try:
                if read_manifest(out).ended != "finished":
                    return out, True
            except InputError:
                pass
        number += 1


def _command(page: Page, form: Form) -> Command:
    folder = page.access.resolve(form.folder)
    if form.out.strip():
        out, overwrite = page.access.resolve(form.out), False
    else:
        out, overwrite = _run_folder(page, folder)
    arguments = ["cluster", str(folder), "--out", str(out)]
    if overwrite:
        arguments.append("--overwrite")
    if form.recipe != "default":
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
    if form.seed:
        arguments += ["--seed", str(form.seed)]
    if form.batch_size != 8:
        arguments += ["--batch-size", str(form.batch_size)]
    if form.precision != "auto":
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
    if not form.folder.strip():
        return gr.Textbox("", visible=False)
    try:
        return gr.Textbox(_command(page, form).line(), visible=True)
    except InputError as error:
        return gr.Textbox(str(error), visible=True)


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
    if (run / IMAGES_FILE).is_file() and not is_written(run):
        return [*[gr.skip()] * 4, *_open(page, str(run)), _choices(page, run)]
    commands = []
    if not (images / EXAMPLE_COMPLETE).is_file():
        commands.append(Command(("example", str(images)), images))
    arguments = ["cluster", str(images / EXAMPLE_FAILURES), "--out", str(run)]
    if (run / MANIFEST_FILE).is_file():
        arguments.append("--overwrite")
    commands.append(Command(tuple(arguments), run))
    return _start(page, commands)


def _start(page: Page, commands: list[Command]) -> list[Any]:
    try:
        page.jobs.start(commands)
    except InputError as error:  # another page started one: follow that
        gr.Warning(html.escape(str(error)))
    return _follow(page, "")


def _stop(page: Page) -> list[Any]:
    page.jobs.stop()
    return _follow(page, "")


def _follow(page: Page, seen: str) -> list[Any]:
    """Show how the job stands if that changed; when it has finished, open its run."""
    look = page.jobs.look()
    now = repr(look)
    if look is None or now == seen:
        return [seen, *[gr.skip()] * 6]
    running = look.state == "running"
    run: Any = {"value": None} if running else {}
    choices: Any = gr.skip()
    if look.state == "finished":
        run, choices = {"value": _served(page, look.folder)}, _choices(page, look.folder)
    return [
        now,
        gr.Timer(active=running),
        gr.Button(interactive=not running),
        gr.Button("Kill" if look.stopping else "Stop", visible=running),
        _describe(look),
        gr.HTML(**run),
        choices,
    ]


def _describe(look: Look) -> str:
    """Return the line and the bar that tell how a job stands."""
    match look.state:
        case "finished":
            return ""
        case "stopped":
            return _notice("Stopped. What was computed is kept: the same job goes on from there.")
        case "failed":
            return _notice(look.reason, "error")
    status = look.status
    stage, done, total, left = "starting", 0, 0, None
    if status is not None and status.stage != "ended":
        stage, done, total = status.stage, status.done, status.total
        left = status.seconds_left
    words = [f"<b>{html.escape(stage[0].upper() + stage[1:])}</b>"]
    if look.stopping:
        words = ["<b>Stopping</b>"]
    if total:
        words.append(f"{done:,} of {total:,}")
    if left is not None and not look.stopping:
        words.append(f"about {_duration(left)} left")
    if len(look.commands) > 1:
        words.append(f"step {look.step + 1} of {len(look.commands)}")
    share = f' value="{done}" max="{total}"' if total else ""
    line = " · ".join(words)
    return f'<div class="job" role="status"><p>{line}</p><progress{share}></progress></div>'


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    if seconds < 3600:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


# --- runs ---------------------------------------------------------------------------------------


def _arrive(page: Page, asked: str | None) -> list[Any]:
    """Show a page that was just loaded the job, and the run in its address or else the last one."""
    screen = _follow(page, "")
    look = page.jobs.look()
    if asked:
        screen[4:] = _open(page, asked) if look is None else [screen[4], _open(page, asked)[1]]
        return [*screen[:6], _choices(page, asked)]
    if look is not None and look.state == "running":
        return screen
    runs = [folder for folder, _ in list_runs(page.runs) if (folder / IMAGES_FILE).is_file()]
    if look is not None and look.state == "finished":
        runs.insert(0, look.folder)
    if runs:
        screen[5:] = [gr.HTML(value=_served(page, runs[0])), _choices(page, runs[0])]
    return screen


def _say(text: str) -> list[Any]:
    return [gr.skip()] * 4 + [_notice(text, "error"), gr.skip(), gr.skip()]


def _open(page: Page, path: str | None) -> list[Any]:
    """Open the run that a user named: the notice and the browser."""
    if not path:
        return [gr.skip(), gr.skip()]
    try:
        folder = page.access.resolve(path)
        describe(folder)
    except InputError as error:
        return [_notice(str(error), "error"), None]
    return ["", _served(page, folder)]


def _served(page: Page, folder: Path) -> dict[str, str]:
    return {"key": page.served.key(folder), "started": read_manifest(folder).started_at}


def _choices(page: Page, chosen: str | Path | None = None) -> gr.Dropdown:
    """List the runs in the page's folder, the latest first."""
    choices = []
    for folder, manifest in list_runs(page.runs):
        when = datetime.fromisoformat(manifest.started_at).astimezone().strftime("%Y-%m-%d %H:%M")
        what = f"{_number(manifest.result.get('clusters', 0), 'cluster')}"
        if manifest.ended != "finished":
            what = "running" if is_written(folder) else "did not finish"
        choices.append((f"{folder.name} · {what} · {when}", str(folder)))
    if chosen is None:
        return gr.Dropdown(choices=choices)
    return gr.Dropdown(choices=choices, value=str(chosen))


def _saver(page: Page) -> Callable[[dict[str, Any]], str]:
    """Return the function by which the page's script saves a cluster's name and note."""
    one_at_a_time = threading.Lock()

    def save(words: dict[str, Any]) -> str:
        """Save the name and note of ``{key, cluster, name, note}``; return why not, if not."""
        name, note = str(words["name"]), str(words["note"])
        try:
            folder = page.served.folder(str(words["key"]))
            with one_at_a_time:
                save_words(
                    folder,
                    int(words["cluster"]),
                    _text(" ".join(name.splitlines())[:LONGEST_NAME]),
                    _text(note[:LONGEST_NOTE]),
                )
        except InputError as error:
            return str(error)
        except OSError as error:
            return f"{error.filename or 'the run folder'}: {error.strerror or error}"
        return ""

    return save


def _text(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")  # a browser may send half a character
