"""Error answers of the server: refusals of a request, and faults of the tool.

A refusal names what is wrong with the user's files or request.  A fault of the tool never blames
them; its traceback is logged.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.exit_codes import FAULT
from pipelines.runs.errors import InputError

LOG = logging.getLogger(__name__)
SEND_THE_LOG = (
    "Your files are as they were, and what was saved is there. Please send whoever looks after the "
    "tool the last lines of the terminal that serves the page, from “A fault of the tool” on, and "
    "the run's run.json."
)
Endpoint = Callable[[Request], Any]


def guarded(answer: Endpoint) -> Endpoint:
    """Wrap an endpoint so that its errors become refusals, or faults of the tool."""
    if inspect.iscoroutinefunction(answer):

        async def answer_later(request: Request) -> Response:
            try:
                return cast(Response, await answer(request))
            except Exception as error:
                raise _refusal(answer, error) from error

        return answer_later

    def answer_now(request: Request) -> Response:
        try:
            return cast(Response, answer(request))
        except Exception as error:
            raise _refusal(answer, error) from error

    return answer_now


def _refusal(answer: Endpoint, error: Exception) -> HTTPException:
    """Return the error answer for the browser; log the traceback of an unforeseen error."""
    if isinstance(error, HTTPException):
        return error
    if isinstance(error, InputError):
        return HTTPException(404, str(error))
    LOG.error("A fault of the tool, in %s:", answer.__name__, exc_info=error)
    return HTTPException(500, f"{FAULT}: {type(error).__name__}: {error}. {SEND_THE_LOG}")
