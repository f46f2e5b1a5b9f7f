"""The page's messages on failed events, instead of a bare “Error”."""

from __future__ import annotations

import functools
import html
import inspect
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

import gradio as gr

from app.server.answers import describe_fault
from pipelines.runs.errors import InputError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def guard_events(blocks: gr.Blocks) -> None:
    """Make every event that the page has so far show a message when it fails.

    Errors that a user can correct are shown unchanged. All others are faults of the tool: the
    message says so, and the traceback is logged.
    """
    for event in blocks.fns.values():
        if event.fn is not None:
            event.fn = _guarded(event.fn)


def _guarded(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    name = getattr(function, "__qualname__", repr(function))
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def go_through(*values: Arguments.args, **named: Arguments.kwargs) -> Iterator[object]:
            try:
                yield from function(*values, **named)
            except Exception as error:
                raise _explain(name, error) from error

        return go_through  # type: ignore[return-value]  # Gradio asks whether it is a generator

    @functools.wraps(function)
    def call(*values: Arguments.args, **named: Arguments.kwargs) -> Result:
        try:
            return function(*values, **named)
        except Exception as error:
            raise _explain(name, error) from error

    return call


def _explain(name: str, error: Exception) -> gr.Error:
    """Return the message to the user, which stays until they close it."""
    title, words = "Error", str(error)
    if isinstance(error, gr.Error):
        return error
    if isinstance(error, OSError):  # a full disk, a folder that may not be read
        words = f"{error.filename or 'a file'}: {error.strerror or error}"
    elif not isinstance(error, InputError):
        title, words = "A fault of the tool", describe_fault(name, error)
    # Gradio reads the words as HTML.
    return gr.Error(html.escape(words), duration=None, title=title, print_exception=False)
