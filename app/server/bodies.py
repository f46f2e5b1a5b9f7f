"""Limit the size of what browsers send, so that nobody can fill the memory."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.server.login import has_body

LARGEST = 16 * 2**20
"""Bytes; enough for changes of an unsafe set of some hundred thousand images."""
LARGEST_LOGIN = 64 * 2**10
"""Bytes of a login, which anybody may send."""


class BodyMiddleware:
    """Pass on only requests whose body is small enough to be kept in memory as a whole."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413 to a body that is too long, by its announced or by its real length."""
        if scope["type"] != "http" or not has_body(Headers(scope=scope)):
            await self.app(scope, receive, send)
            return
        most = LARGEST_LOGIN if scope["path"] == "/login" else LARGEST
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdecimal():
            answer = PlainTextResponse("The length is no number.", 400, {"Connection": "close"})
            await answer(scope, receive, send)
            return
        messages = None if int(announced[:20]) > most else await _read(receive, most)
        if messages is None:
            words = f"That is too much: at most {most:,} bytes are taken."
            # The rest of the body is not read; the connection is closed instead.
            await PlainTextResponse(words, 413, {"Connection": "close"})(scope, receive, send)
            return
        messages.reverse()

        async def receive_again() -> Message:
            return messages.pop() if messages else await receive()

        await self.app(scope, receive_again, send)


async def _read(receive: Receive, most: int) -> list[Message] | None:
    """Read a body; None as soon as it is longer than `most` bytes."""
    messages: list[Message] = []
    body = bytearray()
    while not messages:
        message = await receive()
        if message["type"] != "http.request":  # the browser has disconnected
            return [message]
        body += message.get("body", b"")
        if len(body) > most:
            return None
        if not message.get("more_body", False):
            messages.append({"type": "http.request", "body": bytes(body), "more_body": False})
    return messages
