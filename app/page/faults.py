"""What the page says where an event cannot do as asked, instead of a bare “Error”."""

from __future__ import annotations

import functools
import html
import inspect
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

import gradio as gr

from app.server.answers import describe_fault
from pipelines.runs.errors import InputError

Given = ParamSpec("Given")
Result = TypeVar("Result")


def guard_events(blocks: gr.Blocks) -> None:
    """Make every event of a page say what went wrong: all that it has by now.

    What a user can mend is said as it is.  All else is a fault of the tool: it is said to be one,
    and its traceback is logged.
    """
    for event in blocks.fns.values():
        if event.fn is not None:
            event.fn = _guarded(event.fn)


def _guarded(function: Callable[Given, Result]) -> Callable[Given, Result]:
    name = getattr(function, "__qualname__", repr(function))
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def go_through(*values: Given.args, **named: Given.kwargs) -> Iterator[object]:
            try:
                yield from function(*values, **named)
            except Exception as error:
                raise _explain(name, error) from error

        return go_through  # type: ignore[return-value]  # Gradio asks whether it is a generator

    @functools.wraps(function)
    def call(*values: Given.args, **named: Given.kwargs) -> Result:
        try:
            return function(*values, **named)
        except Exception as error:
            raise _explain(name, error) from error

    return call


def _explain(name: str, error: Exception) -> gr.Error:
    """Return what the user is told, until they close it."""
    title, words = "Error", str(error)
    if isinstance(error, gr.Error):
        return error
    if isinstance(error, OSError):  # a full disk, a folder that may not be read
        words = f"{error.filename or 'a file'}: {error.strerror or error}"
    elif not isinstance(error, InputError):
        title, words = "A fault of the tool", describe_fault(name, error)
    # Gradio takes the words for HTML.
    return gr.Error(html.escape(words), duration=None, title=title, print_exception=False)
