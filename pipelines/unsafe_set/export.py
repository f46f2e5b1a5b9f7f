"""Export images for a labelling tool: a folder of copies and two import files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pipelines.data.changes import check_unchanged
from pipelines.data.images import ImageFile, Rejected, tell_unusable
from pipelines.data.pixels import upright_size
from pipelines.runs.errors import InputError
from pipelines.runs.files import write_text
from pipelines.runs.folder import Progress
from pipelines.runs.guard import SAVE_AGAIN, name_damaged_file
from pipelines.runs.wording import count_of
from pipelines.unsafe_set.digests import NOT_SELECTED, read_digests
from pipelines.unsafe_set.files import read_selection
from pipelines.unsafe_set.rows import UNSAFE_SET_FILE, read_rows

LABEL_STUDIO_FILE = "label_studio.json"
COCO_FILE = "coco.json"
STAGE = "exporting images"


@dataclass(frozen=True)
class ExportedImage:
    """An image to export.

    Attributes
    ----------
    path : str
        Relative to the folder of images.
    name : str
        Path of the copy, relative to the folder of the export.
    data : dict of str to str
        Fields of the image's task in Label Studio.
    digest : str
        SHA-256 of the file that was chosen; empty where an earlier version chose it.
    """

    path: str
    name: str
    data: dict[str, str]
    digest: str = ""


def check_target(out: Path, images: Path) -> None:
    """Raise InputError unless `out` is a new or empty folder outside of the images' folder."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is not a new or empty folder; it is not changed. Choose another.")
    if out.resolve().is_relative_to(images.resolve()):
        raise InputError(f"{out} lies inside the images' folder {images}. Choose another folder.")


def export_unsafe_set(
    run: Path, out: Path, progress: Progress, *, links: bool = False
) -> tuple[int, list[Rejected]]:
    """Copy the images of a run's unsafe set to `out`, with one folder per cluster.

    Images keep their relative paths inside these folders. `label_studio.json` is a list of tasks
    for Label Studio, which must serve local files from `out`; `coco.json` lists the images in the
    COCO format, without annotations. The original images are not changed.

    Parameters
    ----------
    out : Path
        A new or empty folder.
    links : bool
        Whether to link instead of copying.

    Returns
    -------
    int
        Number of images in the set.
    list of Rejected
        Images of the set that are missing, cannot be read, or changed since they were selected;
        they are left out.

    Raises
    ------
    InputError
        When the run has no unsafe set, or an empty one, or its files do not belong together; and
        for the reasons of `check_target` and `export_images`.
    """
    selection = read_selection(run)
    if selection is None:
        raise InputError(f"{run} has no unsafe set to export: select one first.")
    images = Path(selection.folder)
    check_target(out, images)
    rows = read_rows(run, selection.listed)
    digests = read_digests(run, selection)
    with name_damaged_file(run / UNSAFE_SET_FILE, SAVE_AGAIN):
        listed = [
            ExportedImage(
                row["path"],
                f"cluster_{int(row['cluster']):03d}/{row['path']}",
                {key: row[key] for key in ("path", "cluster", "rank", "label")},
                digests.get(row["path"], ""),
            )
            for row in rows
        ]
    return len(listed), export_images(
        images, listed, out, progress, links=links, advice=NOT_SELECTED
    )


def export_images(
    images: Path,
    rows: Sequence[ExportedImage],
    out: Path,
    progress: Progress,
    *,
    links: bool = False,
    advice: str,
) -> list[Rejected]:
    """Copy images to `out`, and write import files of Label Studio and COCO there.

    Parameters
    ----------
    images : Path
        Their folder; it is never changed.
    out : Path
        A new or empty folder; see `check_target`.
    links : bool
        Whether to link instead of copying.
    advice : str
        What to do where a file changed since it was chosen.

    Returns
    -------
    list of Rejected
        Images that are missing, cannot be read, or changed; they are left out.

    Raises
    ------
    InputError
        When there is no image to export.
    """
    if not rows:
        raise InputError("there is no image to export: none is chosen. Nothing was written.")
    tasks: list[dict[str, object]] = []
    listed: list[dict[str, object]] = []
    missing: list[Rejected] = []
    for done, row in enumerate(rows, 1):
        progress(STAGE, done, len(rows))
        size = _measure(images, row, advice)
        if isinstance(size, Rejected):
            missing.append(size)
            continue
        _put(images / row.path, out / row.name, links)
        tasks.append({"data": {"image": f"/data/local-files/?d={quote(row.name)}"} | row.data})
        listed.append(
            {"id": len(listed) + 1, "file_name": row.name, "width": size[0], "height": size[1]}
        )
    if not tasks:
        raise InputError(
            f"none of {count_of(len(rows), 'image')} to export can be read ({missing[0].path}: "
            f"{missing[0].reason}). Nothing was written."
        )
    coco = {"images": listed, "annotations": [], "categories": []}
    out.mkdir(parents=True, exist_ok=True)
    for file, content in ((LABEL_STUDIO_FILE, tasks), (COCO_FILE, coco)):
        write_text(out / file, json.dumps(content, ensure_ascii=False, indent=1) + "\n")
    return missing


def _measure(images: Path, row: ExportedImage, advice: str) -> tuple[int, int] | Rejected:
    """Return width and height of an image that may be exported; otherwise the reason why not."""
    if reason := tell_unusable(images / row.path, images.resolve()):
        return Rejected(row.path, reason)
    file = ImageFile(row.path, row.digest)
    changed = check_unchanged(images, file, advice) if row.digest else None
    return changed or upright_size(images, row.path)


def _put(source: Path, target: Path, link: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if link:
        target.symlink_to(source.resolve())
    else:
        shutil.copyfile(source, target)
