"""Fields that the forms of several tabs share, such as that for a folder of images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict

import gradio as gr
from gradio.components import Component

from app.commands.dnn import TestOptions
from app.commands.retrain import RetrainOptions
from app.page import folders
from app.page.context import Page
from app.page.form import Form
from app.page.wiring import HIDDEN
from app.server import panes


class Narrow(TypedDict):
    """The width of a button: that of its words."""

    scale: int
    min_width: int


NARROW: Narrow = {"scale": 0, "min_width": 90}


def command_line(elem_id: str) -> gr.Textbox:
    """Make the field that shows the command of a form."""
    return gr.Textbox(
        label="The same on the command line",
        interactive=False,
        visible=False,
        lines=1,
        max_lines=4,
        buttons=["copy"],
        elem_id=elem_id,
        elem_classes="command",
    )


def result_pane(elem_id: str, module: str) -> gr.HTML:
    """Make a pane that a module of `assets/panes` fills."""
    return gr.HTML(
        value=None,
        html_template="",  # the module shows names as text; a template would evaluate them
        js_on_load=panes.load_script(module),
        elem_id=elem_id,
        elem_classes="shown",
    )


def run_field(
    label: str, elem_id: str, list_choices: Callable[[], list[folders.Choice]]
) -> gr.Dropdown:
    """Make a field for a run; it lists the runs again whenever it gets the focus."""
    with gr.Row(elem_classes="more"):
        field = gr.Dropdown(
            label=label, choices=[], value=None, allow_custom_value=True, elem_id=elem_id
        )
    field.focus(lambda: gr.Dropdown(choices=list_choices()), None, field, **HIDDEN)
    return field


def make_label_fields(form: Form, kind: type[TestOptions | RetrainOptions]) -> None:
    """Make the fields for a model's input and labels."""
    form.row(kind, "scaling", "classes")
    form.row(kind, "task", "error_threshold", "key_points")
    form.add(kind, "groups")


def show_always(
    show: Callable[..., object],
    changing: Sequence[gr.Dropdown | gr.Tab],
    inputs: Component | Sequence[Component],
    pane: gr.HTML,
) -> None:
    """Update a pane whenever a field changes or a tab opens: clusters may have been renamed.

    All triggers are one event, of which Gradio handles the last. With two events, the answer that
    arrives last would stay, even if it belongs to the earlier event and to no run.
    """
    events = [part.select if isinstance(part, gr.Tab) else part.change for part in changing]
    gr.on(events, show, inputs, pane, trigger_mode="always_last", **HIDDEN)


def complete_folder_field(
    page: Page,
    folder: gr.Dropdown,
    browse: gr.Button,
    count: gr.HTML,
    recent: Callable[[Page], list[str]],
) -> None:
    """Make the list of folders that `browse` opens, and show the number of images in `count`.

    Parameters
    ----------
    recent : callable
        Lists the folders that were used before.
    """
    _make_picker(page, folder, browse)
    _count_images(page, folder, count)
    folder.focus(lambda: gr.Dropdown(choices=recent(page)), None, folder, **HIDDEN)


@dataclass(frozen=True)
class SetField:
    """The field for a folder of images of a set, and the parts that belong to it.

    Attributes
    ----------
    option : str
        The option of the command that the field sets.
    browse : str
        Text of the button that lists folders.
    elem_id : str
        `elem_id` of that button and of the number of images, after "browse-" and "count-".
    recent : callable
        Lists the folders that were used before.
    """

    option: str
    browse: str
    elem_id: str
    recent: Callable[[Page], list[str]]


def make_set_fields(
    page: Page,
    form: Form,
    kind: type[object],
    sets: Sequence[SetField],
    *buttons: tuple[str, str],
    model: bool = True,
) -> list[gr.Button]:
    """Make the fields for a model and sets of images, and the buttons that start their jobs.

    Parameters
    ----------
    kind : type
        The options that the fields are for.
    buttons : (str, str)
        Text and `elem_id` of each button; the first is the main job of the tab.
    model : bool
        Whether the command takes a model.
    """
    with gr.Row(elem_classes="ask"):
        if model:
            form.add(kind, "model")
        named = [form.folder(kind, one.option) for one in sets]
    with gr.Row(elem_classes="actions"):
        starts = [
            gr.Button(
                words, variant="secondary" if number else "primary", elem_id=elem_id, **NARROW
            )
            for number, (words, elem_id) in enumerate(buttons)
        ]
        browses = [gr.Button(one.browse, elem_id=f"browse-{one.elem_id}", **NARROW) for one in sets]
        counts = [
            gr.HTML(elem_id=f"count-{one.elem_id}", elem_classes="count", padding=False)
            for one in sets
        ]
    for one, folder, browse, count in zip(sets, named, browses, counts, strict=True):
        complete_folder_field(page, folder, browse, count, one.recent)
    return starts


def _count_images(page: Page, folder: gr.Dropdown, count: gr.HTML) -> None:
    counting: dict[str | None, object] = {}

    def count_images(text: str | None, request: gr.Request) -> Iterator[str]:
        counting[request.session_hash] = mine = object()
        for message in folders.count_images(page, text or ""):
            if counting[request.session_hash] is not mine:  # the folder changed during the count
                return
            yield message

    folder.change(count_images, folder, count, trigger_mode="multiple", **HIDDEN)


def _make_picker(page: Page, folder: gr.Dropdown, browse: gr.Button) -> None:
    place = gr.State("")
    with gr.Column(visible=False, elem_classes="picker") as picker:
        inside = gr.Radio(choices=[], label="Folders", elem_classes="folders")
        take = gr.Button("Use this folder", **NARROW)

    def list_folders(text: str) -> tuple[str, gr.Radio]:
        place, words, choices = folders.list_folders(page, text)
        return str(place), gr.Radio(choices=choices, label=words, value=None)

    def browse_from(text: str | None, listed: str) -> list[object]:
        if listed:  # a second click closes the list
            return [gr.Column(visible=False), "", gr.skip()]
        return [gr.Column(visible=True), *list_folders(text or "")]

    browse.click(browse_from, [folder, place], [picker, place, inside], **HIDDEN)
    inside.input(list_folders, inside, [place, inside], **HIDDEN)
    take.click(
        lambda path: (path, gr.Column(visible=False), ""), place, [folder, picker, place], **HIDDEN
    )
