"""The scripts of the result panes: ES modules below `assets/panes`, and how the page loads them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.server.login import logged_in

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "panes"
FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}


@dataclass(frozen=True)
class Modules:
    """The modules of one release.

    Attributes
    ----------
    digest : str
        Hash of all names and contents. It is part of every address, so that a browser can cache a
        module for ever without mixing two releases.
    files : dict of str to bytes
        The content of each module, by its path below `assets/panes`.
    """

    digest: str
    files: dict[str, bytes]


@cache
def read_modules(folder: Path = FOLDER) -> Modules:
    """Read all modules below a folder, once: a server serves one release as long as it runs."""
    paths = sorted(folder.rglob("*.js"))
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return Modules(digest.hexdigest()[:24], files)


def load_script(name: str) -> str:
    """Return the script with which Gradio's HTML component loads a module and calls its ``open``.

    Parameters
    ----------
    name : str
        Path of a module below `assets/panes` that exports ``open``.

    Raises
    ------
    KeyError
        When there is no such module.
    """
    modules = read_modules()
    if name not in modules.files:
        raise KeyError(name)
    # Relative to the page's own address, because a proxy may serve it below any path.
    return f"""
import(new URL("panes/{modules.digest}/{name}", document.baseURI).href).then(
  (pane) => pane.open({{ element, props, trigger, watch }}),
  (error) => {{ element.textContent = `${{error.message}}. Reload the page.`; }},
);
"""


def routes() -> list[Route]:
    """Return the routes below ``/panes/DIGEST/``, which serve the modules and no other file."""
    return [Route("/panes/{digest}/{name:path}", _module)]


def _module(request: Request) -> Response:
    if not logged_in(request):
        raise HTTPException(401, "Log in, and reload the page.")
    modules = read_modules()
    content = modules.files.get(request.path_params["name"])
    if content is None or request.path_params["digest"] != modules.digest:
        raise HTTPException(404, "This page is of another release. Reload the page.")
    return Response(content, media_type="text/javascript", headers=FOREVER)
