"""Who may reach the page, and which folders those may name."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.errors import InputError

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
"""Nothing of the page may come from, or go to, another machine, and no other page may frame it."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


@dataclass(frozen=True)
class Access:
    """Who may reach the page, and what.

    Attributes
    ----------
    host : str
        Address to listen on.
    user, password : str
        Empty when nobody has to log in.
    roots : tuple of Path
        Resolved folders below which every path must lie; empty for no limit.
    """

    host: str = LOOPBACK
    user: str = ""
    password: str = ""
    roots: tuple[Path, ...] = ()

    def resolve(self, text: str) -> Path:
        """Return the path that a user gave, absolute and free of links.

        Raises
        ------
        InputError
            When it lies below none of the roots, or is no path.
        """
        try:
            path = Path(text.strip()).expanduser().resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(f"{text!r} is not a path: {error}.") from error
        if self.roots and not any(path.is_relative_to(root) for root in self.roots):
            allowed = ", ".join(map(str, self.roots))
            raise InputError(
                f"{path} lies outside of the folders that this page may use. "
                f"Choose a folder below {allowed}."
            )
        return path


def check_access(host: str | None, auth: str | None, roots: list[Path]) -> Access:
    """Check who may reach the page.

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
        When another host is given without a login and a root, or one of them cannot be used.
    """
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
        password = Path(name).read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--auth: the password file {name} cannot be read: {error}.") from error
    if not password:
        raise InputError(f"--auth: the first line of {name} is empty; it should be the password.")
    return user, password


def known_names(host: str) -> list[str]:
    """Return the names by which a browser may call this machine when the page listens on `host`."""
    names = {LOOPBACK, "localhost", host}
    try:
        everywhere = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        everywhere = False
    if everywhere:
        names |= {socket.gethostname(), socket.getfqdn()}
        with suppress(OSError):
            names |= {str(found[4][0]) for found in socket.getaddrinfo(socket.gethostname(), None)}
    return sorted(names)


def middleware(access: Access) -> list[Middleware]:
    """Return what refuses requests under a foreign name or from a foreign page.

    A web page elsewhere could otherwise drive this one through the user's browser: by a name of
    its own that resolves to this machine (DNS rebinding), or by sending forms to its address.
    """
    return [
        Middleware(TrustedHostMiddleware, allowed_hosts=known_names(access.host)),
        Middleware(SameOriginMiddleware),
    ]


class SameOriginMiddleware:
    """Refuse requests that another site's page sends, and tell the browser to keep to this one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 to a foreign `Origin`; add `HEADERS` to every other answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            refusal = PlainTextResponse("This page does not answer other sites.", status_code=403)
            await refusal(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    answer.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)
