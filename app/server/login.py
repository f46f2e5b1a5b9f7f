"""The login: who has logged in, and a limit on guessing passwords."""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOG = logging.getLogger(__name__)
FREE_TRIES = 5
"""Number of wrong passwords per address without a wait, because people mistype."""
LONGEST_WAIT = 900.0
"""Seconds. Each further wrong password doubles the wait, up to this value."""
SECONDS_KEPT = 3600.0
MOST_ADDRESSES = 10_000
"""Wrong passwords are forgotten after this time; at most this many addresses are remembered."""


def logged_in(request: Request) -> bool:
    """Tell whether this browser has logged in; True if no login is needed."""
    app = request.app
    if getattr(app, "auth", None) is None:
        return True
    names = (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}")
    return any(request.cookies.get(name) in app.tokens for name in names)


def has_body(headers: Headers) -> bool:
    """Tell whether a request announces a body; in HTTP, a request that announces none has none."""
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


class Tries:
    """The number of wrong passwords of each address.

    Parameters
    ----------
    clock : callable
        Returns seconds that only increase.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tries: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Return the seconds until an address may try again; 0 if it may try now."""
        count, last = self._tries.get(address, (0, -math.inf))
        if count < FREE_TRIES:
            return 0.0
        return max(0.0, last + self._pause(count) - self._clock())

    def begin(self, address: str) -> None:
        """Count a try as wrong before it is checked: tries at the same time must all count."""
        now = self._clock()
        while self._tries and (
            len(self._tries) >= MOST_ADDRESSES
            or now - next(iter(self._tries.values()))[1] > SECONDS_KEPT
        ):
            self._tries.popitem(last=False)
        count, _ = self._tries.pop(address, (0, 0.0))
        self._tries[address] = (count + 1, now)

    def fail(self, address: str) -> None:
        """Log that a password was wrong, without the password."""
        count, _ = self._tries.get(address, (1, 0.0))
        wait = self._pause(count) if count >= FREE_TRIES else 0.0
        LOG.warning(
            "Wrong password from %s, the %d. in a row; the next is taken in %d s.",
            address,
            count,
            wait,
        )

    def succeed(self, address: str) -> None:
        """Forget the wrong passwords of an address that has logged in."""
        self._tries.pop(address, None)

    @staticmethod
    def _pause(count: int) -> float:
        return float(min(2.0 ** min(count - FREE_TRIES, 30), LONGEST_WAIT))


class LoginMiddleware:
    """Refuse requests of browsers without a login, and passwords that are sent too often."""

    def __init__(self, app: ASGIApp, clock: Callable[[], float]) -> None:
        self.app = app
        self._tries = Tries(clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 to a request without a login, and 429 to passwords that are sent too fast."""
        if scope["type"] != "http" or getattr(scope["app"], "auth", None) is None:
            await self.app(scope, receive, send)
        elif scope["path"] == "/login" and scope["method"] == "POST":
            await self._log_in(scope, receive, send)
        elif self._sends(scope) and not logged_in(Request(scope)):
            words = "Log in, and reload the page."
            answer = PlainTextResponse(words, 401, {"Connection": "close"})
            await answer(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    @staticmethod
    def _sends(scope: Scope) -> bool:
        return scope["method"] not in {"GET", "HEAD"} or has_body(Headers(scope=scope))

    async def _log_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = scope["client"][0] if scope.get("client") else ""
        if wait := math.ceil(self._tries.wait(address)):
            words = f"Too many wrong passwords. Try again in {wait} s."
            headers = {"Retry-After": str(wait), "Connection": "close"}
            await PlainTextResponse(words, 429, headers)(scope, receive, send)
            return
        self._tries.begin(address)

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] < 400:
                    self._tries.succeed(address)
                else:
                    self._tries.fail(address)
            await send(message)

        await self.app(scope, receive, note)
