"""Forms of the page: make fields from descriptions of options, and read them back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from app.commands.option import OptionField, arguments, option_fields
from app.numbers import read_number, write_number
from app.page import folders
from app.page.context import Page
from app.server.jobs import Command
from pipelines.data.image_lists import find_image_folder
from pipelines.runs.errors import InputError

Options = TypeVar("Options")
Entries = Mapping[str, Any]
"""The contents of a form's fields, by name; fields that were never shown are missing.

Any, here and below: each of Gradio's components takes other keywords and holds another value."""

UNPLACED = Path()
"""Placeholder for a run folder that is not chosen yet."""


class Form:
    """The fields of a job's form, by name.

    Parameters
    ----------
    ids : mapping of str to str
        Ids of fields on the page; others have none.
    """

    def __init__(self, ids: Mapping[str, str]) -> None:
        self._ids = ids
        self.fields: dict[str, Any] = {}

    def put(self, name: str, field: Any) -> Any:
        """Add a field that is not an option of a command."""
        self.fields[name] = field
        return field

    def add(self, kind: type[object], name: str, **changes: Any) -> Any:
        """Make the field of an option; `changes` replace settings of the option, for Gradio."""
        field = _find(kind, name)
        return self.put(name, _component(field, {"elem_id": self._ids.get(name), **changes}))

    def row(self, kind: type[object], *names: str) -> None:
        """Make the fields of options, side by side."""
        with gr.Row():
            for name in names:
                self.add(kind, name)

    def folder(self, kind: type[object], name: str) -> gr.Dropdown:
        """Make the field of an option that names a folder, with a list of recent folders."""
        option = _find(kind, name).option
        return self.put(  # type: ignore[no-any-return]
            name,
            gr.Dropdown(
                label=option.label,
                info=option.info or None,
                choices=[],
                value=None,
                allow_custom_value=True,
                elem_id=self._ids[name],
            ),
        )

    def entries(self, values: Sequence[object]) -> dict[str, object]:
        """Return the contents of the fields by name; `values` are in the order of the fields."""
        pairs = zip(self.fields, values, strict=True)
        return {name: value for name, value in pairs if value is not None}


def read(page: Page, kind: type[Options], entries: Entries, **known: object) -> Options:
    """Return the options of a command from the contents of a form.

    Parameters
    ----------
    entries : mapping
        Entries that are not options of the command are ignored; an empty entry gives the default.
    known : any
        Options that the page sets itself.

    Raises
    ------
    InputError
        When a field cannot be used, or is empty but required; the message names the field.
    """
    values = {}
    for field in option_fields(kind):
        if field.name in known or not field.option.label:
            continue
        value = _value(page, field, entries.get(field.name))
        if value is not None:
            values[field.name] = value
        elif field.option.needed:
            raise InputError(f"Give {field.option.needed}.")
    return kind(**values, **known)


def place(page: Page, options: Options, images: Path, suffix: str = "") -> Options:
    """Return the options with a run folder for a job on `images`, named after these and `suffix`.

    `overwrite` is set if the folder holds a run that may be replaced.
    """
    out = folders.new_run_folder(page, images, suffix)
    overwrite = folders.may_replace(out, images)
    return replace(options, out=out, overwrite=overwrite)  # type: ignore[type-var]


def build_command(name: str, options: Any, folder: Path | None = None) -> Command:
    """Return a command that can be started; it names only options that differ from their defaults.

    Parameters
    ----------
    folder : Path, optional
        The folder that it writes, if that is not its `out`.
    """
    return Command((name, *arguments(options)), folder or options.out, options)


def text_of(entries: Entries, name: str) -> str:
    """Return the text of a field, without leading and trailing spaces."""
    return str(entries.get(name) or "").strip()


def resolve_images(page: Page, text: str) -> Path:
    """Return the folder or the list of images that `text` names.

    Raises
    ------
    InputError
        When the page may not use it, or may not use the folder that the list names.
    """
    source = page.access.resolve(text)
    page.access.resolve(
        str(find_image_folder(source, page.access.roots))
    )  # a list may name a folder elsewhere
    return source


# --- one field ----------------------------------------------------------------------------------


def _find(kind: type[object], name: str) -> OptionField:
    return next(field for field in option_fields(kind) if field.name == name)


def _component(field: OptionField, more: dict[str, Any]) -> Any:
    option = field.option
    more = {"label": option.label, "info": option.info or None, **more}
    if field.type is bool and not option.choices:
        return gr.Checkbox(field.default, **more)
    if option.choices and field.several:
        return gr.Dropdown(list(option.choices), multiselect=True, **more)
    if option.choices:
        unset = [option.unset] if option.unset else []
        value = option.choices[0] if field.type is bool else field.default or option.unset
        widget = gr.Dropdown if field.optional else gr.Radio
        return widget([*unset, *option.choices], value=value, **more)
    # Numbers are text, too: a browser's own number field changes input that it does not understand.
    return gr.Textbox(_shown(field), **_lines(field), **more)


def _shown(field: OptionField) -> str:
    """Return the initial content of a text field: the default."""
    if field.required or field.default is None:
        return ""
    values = field.default if field.several else (field.default,)
    numbers = field.option.numbers
    unit = " %" if numbers is not None and numbers.percent == "dropped" else ""
    texts = (write_number(value) if numbers is not None else str(value) for value in values)
    return "; ".join(f"{text}{unit}" for text in texts)


def _lines(field: OptionField) -> dict[str, Any]:
    if field.type is not Path:
        return {}
    if field.several:
        return {"lines": 2, "max_lines": 6}
    return {"max_lines": 1, "placeholder": field.option.placeholder or None}


def _value(page: Page, field: OptionField, entry: object) -> object:
    """Return the value of a field; None if it is empty."""
    option = field.option
    if field.type is bool:
        return entry == option.choices[1] if option.choices else bool(entry)
    if isinstance(entry, list | tuple):
        return tuple(entry) or None
    text = str(entry or "").strip()
    if not text or text == option.unset:
        return None
    if not field.several:
        return _single(page, field, text)
    apart = "\n" if field.type is Path else ";" if option.numbers else ","
    parts = tuple(_single(page, field, part) for part in re.split(apart, text) if part.strip())
    return parts or None


def _single(page: Page, field: OptionField, text: str) -> str | float | Path:
    if field.option.numbers is not None:
        return read_number(field.option.label, text, field.option.numbers)
    if field.type is not Path:
        return text.strip()
    return resolve_images(page, text) if field.option.images else page.access.resolve(text)
