"""How the server answers a page: results as JSON, refusals, and faults of the tool.

A refusal names what is wrong with the user's files or request. A fault of the tool never blames
them; its traceback is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from app.exit_codes import FAULT
from pipelines.runs.errors import InputError

LOG = logging.getLogger(__name__)
SEND_THE_LOG = (
    "Your files are unchanged, and what was saved is kept. Please send the last lines of the "
    "terminal that serves the page, from “A fault of the tool” on, and the run's run.json to the "
    "maintainers of the tool."
)
FRESH = {"Cache-Control": "no-store"}


@dataclass(frozen=True)
class Question:
    """A page's request about a run.

    Attributes
    ----------
    folder : Path
        The run folder.
    path : mapping of str to object
        The named parts of the address.
    query : mapping of str to str
        The parameters after the address.
    body : bytes
        The content that the page sends.
    """

    folder: Path
    path: Mapping[str, object]
    query: Mapping[str, str]
    body: bytes

    def text(self, name: str) -> str:
        """Return a part of the address."""
        return str(self.path[name])

    def number(self, name: str) -> int:
        """Return a part of the address that the route parses as a whole number."""
        value = self.path[name]
        assert isinstance(value, int), f"{name} is no number in the route"
        return value


Answer = Callable[[Question], object]
"""Returns the answer to the page: a response, or data that is sent as JSON."""


def answering(
    name: str,
    find_run: Callable[[Request], Path],
    answer: Answer,
    *,
    writes: bool = False,
    plain: bool = False,
) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that sends the result of `answer` as JSON, and errors as error answers.

    Parameters
    ----------
    name : str
        Names the endpoint in the log.
    find_run : callable
        Returns the run folder that the request names.
    answer : callable
        Computes the answer, in a thread.
    writes : bool
        Whether it writes into the run folder. A refusal is then a conflict with the folder's state
        (409), and an error of the disk is no fault of the tool.
    plain : bool
        Whether errors are shown as plain text, because the answer is a page of its own.
    """

    def respond(question: Question) -> Response:
        result = answer(question)
        return result if isinstance(result, Response) else JSONResponse(result, headers=FRESH)

    async def endpoint(request: Request) -> Response:
        try:
            folder = find_run(request)
        except InputError as error:
            raise HTTPException(404, str(error)) from error
        try:
            body = await request.body()
            question = Question(folder, request.path_params, request.query_params, body)
            return await run_in_threadpool(respond, question)
        except Exception as error:
            if writes and isinstance(error, OSError):
                words = f"{error.filename or folder}: {error.strerror or error}"
                refusal = HTTPException(500, words)
            else:
                refusal = refuse(name, error, 409 if writes else 404)
            if plain:
                return PlainTextResponse(refusal.detail, refusal.status_code)
            raise refusal from error

    return endpoint


def refuse(name: str, error: Exception, status: int) -> HTTPException:
    """Return the error answer for the browser; log the traceback of an unforeseen error."""
    if isinstance(error, HTTPException):
        return error
    if isinstance(error, InputError):
        return HTTPException(status, str(error))
    return HTTPException(500, describe_fault(name, error))


def describe_fault(name: str, error: Exception) -> str:
    """Say that an error is a fault of the tool, and log its traceback."""
    LOG.error("A fault of the tool, in %s:", name, exc_info=error)
    return f"{FAULT}: {type(error).__name__}: {error}. {SEND_THE_LOG}"
