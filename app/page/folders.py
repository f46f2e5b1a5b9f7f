"""Folders that a user names on the page, by typing, choosing or browsing; and folders of runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from app.page.context import Page
from app.page.notices import notice
from pipelines.clusters.clusters import IMAGES_FILE
from pipelines.clusters.manifest import ClusterFigures
from pipelines.data.image_lists import list_images
from pipelines.data.images import TABLES, Rejected, Repeated, check_header, walk_files
from pipelines.dnn.manifest import DnnTestFigures
from pipelines.runs.errors import InputError
from pipelines.runs.folder import CLUSTERING_JOBS, is_written
from pipelines.runs.manifest import Manifest, Part, find_part, list_runs, read_manifest
from pipelines.runs.wording import count_of
from pipelines.unsafe_set.files import read_selection

SECONDS_BETWEEN_COUNTS = 0.3
MOST_FOLDERS = 500
EXAMPLE_RUN, EXAMPLE_TEST = "example", "example-test"
"""Names of the example's run and of its DNN's test; other runs do not use them."""

Figures = TypeVar("Figures", bound=Part)
Choice = tuple[str, str]
"""The text of a choice, and the path that it represents."""


def count_images(page: Page, text: str) -> Iterator[str]:
    """Count the usable images of a folder or a list by their headers; yields messages meanwhile."""
    if not text.strip():
        yield ""
        return
    usable = others = 0
    reported = time.monotonic()
    try:
        source = page.access.resolve(text)
        folder, files = _list_files(page, source)
        for file in files:
            if isinstance(file, Rejected) or check_header(folder, file) is not None:
                others += 1
            else:
                usable += 1
            if time.monotonic() - reported > SECONDS_BETWEEN_COUNTS:
                reported = time.monotonic()
                yield notice(f"Counting: {count_of(usable, 'usable image')} so far …")
    except InputError as error:
        yield notice(str(error), "error")
        return
    rest = f" {count_of(others, 'other file')} cannot be used." if others else ""
    yield notice(f"{count_of(usable, 'usable image')}.{rest}", "note" if usable else "error")


def _list_files(page: Page, source: Path) -> tuple[Path, Iterable[str | Rejected]]:
    """Return the folder of images that `source` names, and its files or those of the list."""
    roots = page.access.roots
    if source.is_file():
        listed = list_images(source, roots)
        return page.access.resolve(str(listed.folder)), (*listed.paths, *listed.rejected)
    files = walk_files(source, roots)
    return source, (file for file in files if not isinstance(file, Repeated))


def recent(page: Page) -> list[str]:
    """Return the image folders of the runs in the page's folder, the latest first."""
    runs = list_runs(page.runs)
    # Not for the example, whose test says which of its folders is used.
    about = [manifest.folder for run, manifest in runs if manifest.folder != str(run)]
    return list(dict.fromkeys(about))


def recent_improvement_sets(page: Page) -> list[str]:
    """Return the folders that unsafe sets were selected from, the latest run first."""
    sources = []
    for run, _ in list_runs(page.runs):
        with suppress(InputError, OSError):
            if (selection := read_selection(run)) is not None:
                sources.append(selection.folder)
    return list(dict.fromkeys(sources))


def list_folders(page: Page, text: str) -> tuple[Path, str, list[Choice]]:
    """List the subfolders of the named folder; without a usable name, those of a root or the home.

    Returns
    -------
    Path
        The folder that is listed.
    str
        A sentence about the list, for its label.
    list of tuple of str
        The choices: the folder above, or the other roots, first.
    """
    roots = page.access.roots
    start = roots[0] if roots else Path.home()
    try:
        folder = page.access.resolve(text) if text.strip() else start
        names = _folder_names(folder)
    except (InputError, OSError):
        try:
            folder, names = start, _folder_names(start)
        except OSError:
            return start, f"{start} cannot be listed", []
    choices = [(name, str(folder / name)) for name in names[:MOST_FOLDERS]]
    if folder in roots:
        choices[:0] = [(str(root), str(root)) for root in roots if root != folder]
    elif folder != folder.parent:
        choices.insert(0, (".. (up)", str(folder.parent)))
    words = f"Folders in {folder}"
    if len(names) > MOST_FOLDERS:
        words += f" (the first {MOST_FOLDERS} of {len(names):,}: type the path of another)"
    return folder, words, choices


def _folder_names(folder: Path) -> list[str]:
    names = []
    for path in folder.iterdir():
        try:
            path.name.encode("utf-8")  # a browser cannot show any other name
            if path.is_dir() and not path.name.startswith("."):
                names.append(path.name)
        except (UnicodeEncodeError, OSError):
            continue
    return sorted(names)


def tables_beside(page: Page, text: str | None, run: str | None) -> list[Path]:
    """Find the tables beside the images of the named folder, otherwise beside those of the run."""
    try:
        folder = text if text and text.strip() else None
        if folder is None and run:
            folder = read_manifest(page.access.resolve(run)).folder
        if folder is None:
            return []
        images = page.access.resolve(folder)
        return [images / name for name in sorted(TABLES) if (images / name).is_file()]
    except (InputError, OSError):
        return []


def find_run(page: Page, named: str | None) -> Path | None:
    """Return the named run folder; None if it is no run folder, or the page may not use it."""
    if not named:
        return None
    try:
        folder = page.access.resolve(named)
        read_manifest(folder)
    except InputError:
        return None
    return folder


def list_run_choices(page: Page) -> list[Choice]:
    """List the runs in the page's folder, the latest first."""
    return [
        (_run_label(folder, manifest), str(folder))
        for folder, manifest in list_runs(page.runs)
        if manifest.job in CLUSTERING_JOBS  # other jobs make no clusters
    ]


def list_test_choices(page: Page) -> list[Choice]:
    """List the tests of a DNN in the page's folder, the latest first."""
    choices = []
    for folder, manifest in list_runs(page.runs):
        if manifest.job == "test" and manifest.ended == "finished":
            figures = find_figures(manifest, DnnTestFigures)
            what = f"with {count_of(figures.failures, 'failure')}" if figures else "without figures"
            choices.append((f"{folder.name} · test {what}", str(folder)))
    return choices


def is_test(folder: Path) -> bool:
    """Tell whether a test wrote the folder."""
    try:
        return read_manifest(folder).job == "test"
    except InputError:
        return False


def images_of(run: Path) -> Path:
    """Return the folder of images of a run."""
    return Path(read_manifest(run).folder)


def find_figures(manifest: Manifest, kind: type[Figures]) -> Figures | None:
    """Return the figures of a run for a list; None if they are missing or cannot be read.

    One damaged run must not hide the others: its error is shown when it is opened.
    """
    with suppress(InputError):
        return find_part(manifest, kind)
    return None


def _run_label(folder: Path, manifest: Manifest) -> str:
    figures = find_figures(manifest, ClusterFigures)
    what = count_of(figures.clusters, "cluster") if figures else "no clusters"
    if manifest.ended != "finished":
        what = "running" if is_written(folder) else "did not finish"
    when = datetime.fromisoformat(manifest.started_at).astimezone().strftime("%Y-%m-%d %H:%M")
    return f"{folder.name} · {what} · {when}"


def has_clusters(folder: Path) -> bool:
    """Tell whether a run folder has root cause clusters."""
    try:
        return (folder / IMAGES_FILE).is_file()
    except OSError:
        return False


def changed(file: Path) -> str:
    """Return the time of a file's last change, for comparison; empty if there is no such file."""
    try:
        return str(file.stat().st_mtime_ns)
    except OSError:
        return ""


def may_replace(run: Path, images: Path) -> bool:
    """Tell whether a job on `images` may replace `run`: a run on these images without clusters."""
    try:
        manifest = read_manifest(run)
    except InputError:
        return False
    done = manifest.job not in CLUSTERING_JOBS and manifest.ended == "finished"
    has_results = has_clusters(run) or done
    return manifest.folder == str(images) and not has_results and not is_written(run)


def new_run_folder(
    page: Page, images: Path, suffix: str = "", replace: Callable[[Path], bool] | None = None
) -> Path:
    """Choose the folder for a run on `images`, in the page's folder for runs.

    It is named after the images, with a number if that name is in use. A run that `replace` allows
    to be replaced counts as free; the default is `may_replace`. Nothing is lost by this: the
    features that its job extracted are in the feature store.
    """
    allows = replace or (lambda run: may_replace(run, images))
    name = (images.parent if images.is_file() else images).name.lstrip(".-") or "run"
    name += suffix
    attempt = 1
    while True:
        run = page.runs / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            taken = run.exists()
        except OSError as error:
            raise InputError(f"{run} cannot be used: {error.strerror}.") from error
        if run.name not in {EXAMPLE_RUN, EXAMPLE_TEST} and (not taken or allows(run)):
            return run
        attempt += 1
