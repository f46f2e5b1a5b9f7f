"""Who may access the page, and which folders they may name."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.server.bodies import BodyMiddleware
from app.server.login import LoginMiddleware
from pipelines.runs.errors import InputError

LOOPBACK = "127.0.0.1"
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # Gradio evaluates its templates
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
"""The page loads nothing from other machines and sends them nothing; no page may frame it."""
PATHS = re.compile(
    r"/|/config|/login|/logout|/theme\.css|/favicon\.ico|/manifest\.json"
    r"|/(assets|panes|static|run)/.*"
    r"|/gradio_api/(queue|heartbeat)/.*|/gradio_api/(startup-events|app_id|reset|cancel|login_check)"
)
"""Addresses that the page itself requests. Gradio alone would also answer others: it would serve
files, and fetch pages of other sites."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


@dataclass(frozen=True)
class Access:
    """Who may access the page, and which paths they may name.

    Attributes
    ----------
    host : str
        Address to listen on.
    user, password : str
        Empty if no login is needed.
    roots : tuple of Path
        Resolved folders below which every path must lie; empty for no limit.
    """

    host: str = LOOPBACK
    user: str = ""
    password: str = ""
    roots: tuple[Path, ...] = ()

    def resolve(self, text: str) -> Path:
        """Return the path that a user typed, absolute and with links resolved.

        Raises
        ------
        InputError
            When it lies below none of the roots, or is no path.
        """
        try:
            path = Path(text.strip()).expanduser().resolve()
            str(path).encode("utf-8")  # a browser cannot show any other name
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(f"{text!r} is not a path: {error}.") from error
        if self.roots and not any(path.is_relative_to(root) for root in self.roots):
            allowed = ", ".join(map(str, self.roots))
            raise InputError(
                f"{path} lies outside the folders that this page may use. "
                f"Choose a folder below {allowed}."
            )
        return path


def check_access(host: str | None, auth: str | None, roots: list[Path]) -> Access:
    """Check who may access the page.

    Parameters
    ----------
    host : str, optional
        Address or name to listen on; None for this machine alone.
    auth : str, optional
        ``USER:PASSWORD-FILE``; the password is the file's first line.
    roots : list of Path

    Raises
    ------
    InputError
        When `host` is given without a login and a root, or one of them cannot be used.
    """
    if host is not None and ":" in host:
        raise InputError(f"--host {host}: expected a name or an IPv4 address.")
    if host is not None and not (auth and roots):
        raise InputError(
            f"--host {host} lets other machines reach the page: it needs --auth USER:PASSWORD-FILE "
            "and at least one --root DIR."
        )
    user, password = _read_login(auth) if auth else ("", "")
    for root in roots:
        if not root.is_dir():
            raise InputError(f"--root: {root} is not a folder.")
    return Access(host or LOOPBACK, user, password, tuple(root.resolve() for root in roots))


def _read_login(auth: str) -> tuple[str, str]:
    user, _, name = auth.partition(":")
    if not user or not name:
        raise InputError(f"--auth: expected USER:PASSWORD-FILE, received {auth!r}.")
    try:
        password = Path(name).read_text(encoding="utf-8-sig").split("\n", 1)[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--auth: the password file {name} cannot be read: {error}.") from error
    if not password:
        raise InputError(f"--auth: the first line of {name} is empty; it should be the password.")
    return user, password


def clean_environment() -> None:
    """Remove Gradio's variables from the environment, which Gradio reads during its import.

    They could open ports, serve folders, share the page or report on its use.
    """
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        if name != "GRADIO_TEMP_DIR":
            del os.environ[name]
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"


def known_names(host: str) -> list[str]:
    """Return the names by which a browser may address this machine when the page listens on `host`.

    Names are not looked up, because a look-up would send requests to other machines.
    """
    names = {LOOPBACK, "localhost", host}
    with suppress(ValueError):
        if ipaddress.ip_address(host).is_unspecified:
            names |= {socket.gethostname(), *_own_addresses()}
    return sorted(names)


def _own_addresses() -> Iterator[str]:
    """List this machine's IPv4 addresses."""
    import psutil

    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family == socket.AF_INET:
                yield address.address


def middleware(access: Access, clock: Callable[[], float] = time.monotonic) -> list[Middleware]:
    """Return the middleware that refuses requests of other sites, and requests that are too large.

    It refuses requests under a name that is not this machine's, and requests that the page itself
    does not send. Otherwise another web page could control this one through the user's browser: by
    a name of its own that resolves to this machine (DNS rebinding), by sending forms to its
    address, or by leading the browser to addresses that Gradio serves beside the page. From the
    other requests, nothing is read before the login, and never more than the page sends.

    Parameters
    ----------
    clock : callable
        Returns seconds that only increase; it times the limit on wrong passwords.
    """
    return [
        Middleware(HeadersMiddleware),
        Middleware(TrustedHostMiddleware, allowed_hosts=known_names(access.host)),
        Middleware(OwnPageMiddleware),
        Middleware(LoginMiddleware, clock=clock),
        Middleware(BodyMiddleware),
    ]


class HeadersMiddleware:
    """Send the page's security headers with every answer, including errors."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add `HEADERS`, and answer 500 if nothing has answered."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                answer = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    answer.setdefault(name, value)
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception:
            if not started:  # an answer from outside of this middleware would have no headers
                answer = PlainTextResponse("Internal Server Error", status_code=500)
                await answer(scope, receive, send_with_headers)
            raise


class OwnPageMiddleware:
    """Answer the page's own requests only."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 to other sites and 404 outside `PATHS`."""
        answer: ASGIApp = self.app
        if scope["type"] == "http":
            if _is_foreign(Headers(scope=scope), scope["path"]):
                words = "This page does not answer other sites."
                answer = PlainTextResponse(words, status_code=403)
            elif not PATHS.fullmatch(scope["path"]):
                answer = PlainTextResponse("There is no such page.", status_code=404)
        await answer(scope, receive, send)


def _is_foreign(headers: Headers, path: str) -> bool:
    """Tell whether another site's page sent a request; following a link to this page is allowed."""
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != headers.get("host"):
        return True
    elsewhere = headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}
    return elsewhere and not (path == "/" and headers.get("sec-fetch-mode") == "navigate")
