"""What a run folder says of itself: run.json, and status.json while a job works."""

from __future__ import annotations

import platform
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pipelines.runs.errors import InputError
from pipelines.runs.files import write_text

MANIFEST_FILE = "run.json"


STATUS_FILE = "status.json"


Document = TypeVar("Document", bound=BaseModel)


def now() -> str:
    """Return the present moment in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _moment(text: str) -> str:
    datetime.fromisoformat(text)
    return text


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that decide the result."""
    libraries = ("tensorflow", "keras", "scikit-learn", "numpy", "scipy", "pillow", "kneed")
    return {"python": platform.python_version()} | {name: version(name) for name in libraries}


class NoManifestError(InputError):
    """The folder has no `run.json` that this version of the tool can read."""


class Stage(BaseModel):
    """What one stage of a job cost.

    Attributes
    ----------
    name : str
    seconds : float
        Wall-clock time.
    peak_memory_mb : float
        Highest resident memory of the process from its start to the end of this stage, in MiB.
    """

    name: str
    seconds: float
    peak_memory_mb: float


class ImageCounts(BaseModel):
    """How many files were found below the folder, and what became of them."""

    found: int = 0
    used: int = 0
    rejected: int = 0


class Manifest(BaseModel):
    """`run.json`: everything needed to judge a run, and to repeat it.

    Attributes
    ----------
    ended : str
        "running", "finished", "stopped" (by the user) or "failed" (`message` says why).  A run
        that says "running" although its process is gone was killed.
    command : list of str
        The arguments that started the job, to be given to `SAFE_Tool.py` again.
    parameters : dict
        Every option of the job, given or defaulted.
    weights : dict
        Recipe, source, layers and digest of the network that extracted the features.
    chosen : dict
        What the job settled on by itself: precision, components, eps, min_samples, ...
    result : dict
        Counts and scores of the outcome.
    notes : list of str
        What the user should know about this run, in sentences.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1
    job: str
    ended: Literal["running", "finished", "stopped", "failed"] = "running"
    message: str = ""
    started_at: Annotated[str, AfterValidator(_moment)] = Field(default_factory=now)
    ended_at: str = ""
    command: list[str]
    folder: str
    parameters: dict[str, Any]
    images: ImageCounts = ImageCounts()
    weights: dict[str, Any] = {}
    chosen: dict[str, Any] = {}
    result: dict[str, Any] = {}
    notes: list[str] = []
    stages: list[Stage] = []
    versions: dict[str, str] = Field(default_factory=versions)


class Status(BaseModel):
    """`status.json`: where a running job is.

    Attributes
    ----------
    stage : str
    done, total : int
        Steps of the stage; `total` is 0 while it is not known.
    seconds_left : float or None
        Estimate for this stage; None while there is none.
    pid : int
        Of the process that does the job.
    """

    stage: str
    done: int
    total: int
    seconds_left: float | None
    message: str
    pid: int
    updated_at: str


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `run.json`."""
    write_text(folder / MANIFEST_FILE, manifest.model_dump_json(indent=2) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """Read `run.json`.

    Raises
    ------
    NoManifestError
        When there is none, or this version of the tool cannot read it.
    """
    path = folder / MANIFEST_FILE
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise NoManifestError(f"it has no {MANIFEST_FILE}") from None
    except OSError as error:
        raise NoManifestError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise NoManifestError(
            f"{path} is not a manifest of schema version 1: {_first_error(error)}"
        ) from error


def read_run_manifest(run: Path) -> Manifest:
    """Read `run.json`; raise InputError when the folder is no run."""
    try:
        return read_manifest(run)
    except NoManifestError as error:
        raise InputError(
            f"{run} is not a run folder: {error}. Name a folder that a job has written."
        ) from error


def read_document(path: Path, model: type[Document], mend: str) -> Document | None:
    """Read a JSON file of a run; None where there is none.

    Parameters
    ----------
    model : pydantic model
        What the file holds.
    mend : str
        What to do where it cannot be read.

    Raises
    ------
    InputError
        When it is not as the model says.
    """
    try:
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise InputError(
            f"{path} is not as schema version 1 says: {_first_error(error)}. {mend}"
        ) from error


def _first_error(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{where}: {first['msg']}"


def list_runs(folder: Path) -> list[tuple[Path, Manifest]]:
    """List the run folders directly inside a folder, the one that started last first.

    Folders that are no run, or cannot be read, are left out.
    """
    found = []
    try:
        inside = list(folder.iterdir())
    except OSError:
        return []
    for path in inside:
        with suppress(NoManifestError):
            found.append((path, read_manifest(path)))
    return sorted(found, key=lambda run: (run[1].started_at, run[0].name), reverse=True)


def read_status(folder: Path) -> Status | None:
    """Read `status.json`; None where there is none, or none that can be read."""
    try:
        return Status.model_validate_json((folder / STATUS_FILE).read_bytes())
    except (OSError, ValidationError):
        return None
