"""The addresses below which the page reads and changes runs; no other file of the disk is served.

The page reads figures, pictures and downloads. It writes an engineer's words on a cluster, and
changes of an unsafe set. A run is served below a key that cannot be guessed; only a page that may
see the run gets the key. Thumbnails are served, original images never. Of a run folder, only files
that the tool writes are served.
"""

from __future__ import annotations

import secrets
import threading
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route

from app.server.access import Access
from app.server.answers import Answer, answering
from app.server.changes import Changes
from app.server.files import send_confusions, send_download, send_gifs, send_picture
from app.server.login import logged_in
from app.server.new_images import NewImages
from app.server.views.clusters import describe, read_values
from app.server.views.confusion import describe_inspection, describe_pair
from app.server.views.coverage import describe_coverage
from app.server.views.heatmaps import describe_agreement, describe_heatmaps, describe_layers
from app.server.views.retraining import describe_retraining
from app.server.views.unsafe_set import describe_cut
from pipelines.runs.errors import InputError
from pipelines.unsafe_set.files import read_current_set


class ServedRuns:
    """The run folders that are open on pages.

    Parameters
    ----------
    access : Access
        From which images thumbnails may be drawn.
    """

    def __init__(self, access: Access) -> None:
        self._changes = Changes(access)
        self._new_images = NewImages(access)
        self._lock = threading.Lock()
        self._folders: dict[str, Path] = {}

    def key(self, folder: Path) -> str:
        """Return the key of a run folder, which does not change until the server ends."""
        with self._lock:
            for key, known in self._folders.items():
                if known == folder:
                    return key
            key = secrets.token_urlsafe(16)
            self._folders[key] = folder
            return key

    def folder(self, key: str) -> Path:
        """Return the run folder of a key.

        Raises
        ------
        InputError
            When no page has opened it.
        """
        try:
            return self._folders[key]
        except KeyError:
            raise InputError("the page's server was restarted. Reload the page.") from None

    def routes(self) -> list[Route]:
        """Return the routes below ``/run/KEY/``."""
        changes = self._changes
        written: dict[str, Answer] = {
            "words": lambda question: changes.save_words(question.folder, question.body),
            "recut": lambda question: changes.cut(question.folder, question.body),
        }
        answers = [
            (tail, "POST", answering(tail, self._find, answer, writes=True))
            for tail, answer in written.items()
        ]
        report = answering(
            "report.html",
            self._find,
            lambda question: changes.send_report(question.folder),
            writes=True,
            plain=True,
        )
        answers.append(("report.html", "GET", report))
        read = {**self._figures(), **self._files()}
        answers += [
            (tail, "GET", answering(tail, self._find, answer)) for tail, answer in read.items()
        ]
        return [
            Route(f"/run/{{key}}/{tail}", endpoint, methods=[method])
            for tail, method, endpoint in answers
        ]

    def _find(self, request: Request) -> Path:
        if not logged_in(request):
            raise HTTPException(401, "Log in, and reload the page.")
        return self.folder(request.path_params["key"])

    def _figures(self) -> dict[str, Answer]:
        """Return the endpoints that answer with figures, by the end of their address."""
        return {
            "data": lambda question: describe(question.folder),
            "values/{source}/{index:int}": lambda question: read_values(
                question.folder,
                question.text("source"),
                question.number("index"),
                question.query.get("name"),
            ),
            "unsafe": lambda question: describe_cut(read_current_set(question.folder)),
            "heatmaps/{cluster:int}": lambda question: describe_heatmaps(
                question.folder, question.query.get("layer", ""), question.number("cluster")
            ),
            "layers": lambda question: describe_layers(question.folder),
            "coverage": lambda question: describe_coverage(question.folder),
            "compare/{other}": lambda question: describe_agreement(
                question.folder, self.folder(question.text("other"))
            ),
            "retraining": lambda question: describe_retraining(question.folder),
            "inspection": lambda question: describe_inspection(question.folder),
            "pair/{a:int}/{b:int}": lambda question: describe_pair(
                question.folder, question.number("a"), question.number("b")
            ),
        }

    def _files(self) -> dict[str, Answer]:
        """Return the endpoints that answer with files; the last takes other two-part addresses."""
        return {
            "new/{position:int}/{name}": lambda question: self._new_images.send_thumbnail(
                question.folder, question.number("position"), question.text("name")
            ),
            "confusion.png": lambda question: send_confusions(question.folder),
            "gifs.zip": lambda question: send_gifs(question.folder),
            "download/{name}": lambda question: send_download(
                question.folder, question.text("name")
            ),
            "{folder}/{name}": lambda question: send_picture(
                question.folder, question.text("folder"), question.text("name")
            ),
        }
