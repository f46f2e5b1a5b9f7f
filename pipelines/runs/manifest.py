"""The files that describe a run: `run.json`, and `status.json` while a job works."""

from __future__ import annotations

import platform
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
)

from pipelines.runs.errors import InputError
from pipelines.runs.files import parse_json, write_text

MANIFEST_FILE = "run.json"


STATUS_FILE = "status.json"


Document = TypeVar("Document", bound=BaseModel)
PartOf = TypeVar("PartOf", bound="Part")
Number = int | float
"""A number that somebody gave: `run.json` keeps 20 as 20, not as 20.0."""


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
        Counts and scores of the outcome.  What is in these four differs from job to job, and is
        read by `read_part`.
    notes : list of str
        What the user should know about this run, in sentences.
    replacing : bool
        Whether files of the run that this one replaces may still be in the folder; `run.json` has
        it only where that is so.
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
    parameters: dict[str, object]
    images: ImageCounts = ImageCounts()
    weights: dict[str, object] = {}
    chosen: dict[str, object] = {}
    result: dict[str, object] = {}
    notes: list[str] = []
    stages: list[Stage] = []
    versions: dict[str, str] = Field(default_factory=versions)
    replacing: bool = False
    _file: Path = PrivateAttr(default=Path(MANIFEST_FILE))
    """Where it was read from or written to: messages name it."""


class Part(BaseModel):
    """What a job keeps in one part of its manifest: it is written and read by the same model.

    A field that runs of earlier versions lack, or that nobody needs to read, has a default; what
    later versions add is passed over.

    Attributes
    ----------
    part : str
        Name of the field of `Manifest`.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, allow_inf_nan=False
    )

    part: ClassVar[Literal["parameters", "weights", "chosen", "result"]]

    def entries(self) -> dict[str, object]:
        """Return what `run.json` keeps of it: the fields that were given, in their order."""
        return self.model_dump(exclude_unset=True, by_alias=True)


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
    manifest._file = folder / MANIFEST_FILE
    left_out = None if manifest.replacing else {"replacing"}
    write_text(manifest._file, manifest.model_dump_json(indent=2, exclude=left_out) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """Read `run.json`.

    Raises
    ------
    NoManifestError
        When there is none, or this version of the tool cannot read it.
    """
    path = folder / MANIFEST_FILE
    try:
        manifest = _parse(path, Manifest)
    except (FileNotFoundError, NotADirectoryError):
        raise NoManifestError(f"it has no {MANIFEST_FILE}") from None
    except OSError as error:
        raise NoManifestError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise NoManifestError(
            f"{path} is not a manifest of schema version 1: {_first_error(error)}"
        ) from error
    manifest._file = path
    return manifest


def read_run_manifest(run: Path) -> Manifest:
    """Read `run.json`; raise InputError when the folder is no run."""
    try:
        return read_manifest(run)
    except NoManifestError as error:
        raise InputError(
            f"{run} is not a run folder: {error}. Name a folder that a job has written."
        ) from error


def check_replaced(run: Path) -> None:
    """Raise InputError where a job broke off while it removed the run that it was to replace.

    What is left in the folder then is of neither run.
    """
    with suppress(NoManifestError):
        if (manifest := read_manifest(run)).replacing:
            raise InputError(
                f"{run} holds what is left of an earlier run: the job that was to replace it, "
                f"{manifest.job}, broke off meanwhile. Do that again, with --overwrite."
            )


def write_part(manifest: Manifest, values: Part) -> None:
    """Add to a manifest what a job has to say; `run.json` is written when a stage ends."""
    getattr(manifest, values.part).update(values.entries())


def read_part(manifest: Manifest, kind: type[PartOf]) -> PartOf:
    """Read what a job keeps in one part of its manifest.

    Raises
    ------
    InputError
        When something of it is missing or of another type; somebody may have edited the file.
    """
    try:
        return kind.model_validate(getattr(manifest, kind.part))
    except ValidationError as error:
        raise InputError(
            f"{manifest._file} is not as the tool writes it ({kind.part}.{_first_error(error)}). "
            f"Take the file from a backup, or run its job ({manifest.job}) again."
        ) from error


def find_part(manifest: Manifest, kind: type[PartOf]) -> PartOf | None:
    """Read a part that a job writes when it comes that far; None where nothing of it is there.

    Raises
    ------
    InputError
        When it is there, and something of it is missing or of another type.
    """
    fields = kind.model_fields.items()
    necessary = {field.alias or name for name, field in fields if field.is_required()}
    return read_part(manifest, kind) if necessary & getattr(manifest, kind.part).keys() else None


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
        return _parse(path, model)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. {mend}") from error
    except ValueError as error:
        raise InputError(
            f"{path} is not as schema version 1 says: {_first_error(error)}. {mend}"
        ) from error


def _parse(path: Path, model: type[Document]) -> Document:
    """Parse a JSON file; raise ValueError unless it is as the model says, with finite numbers."""
    content = path.read_bytes()
    document = model.model_validate_json(content)
    parse_json(content)
    return document


def _first_error(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{where}: {first['msg']}"


def list_runs(folder: Path) -> list[tuple[Path, Manifest]]:
    """List the run folders directly inside a folder, the one that started last first.

    Folders that are no run, or cannot be read, are left out.
    """
    runs = []
    try:
        inside = list(folder.iterdir())
    except OSError:
        return []
    for path in inside:
        with suppress(NoManifestError):
            runs.append((path, read_manifest(path)))
    return sorted(runs, key=lambda run: (run[1].started_at, run[0].name), reverse=True)


def read_status(folder: Path) -> Status | None:
    """Read `status.json`; None where there is none, or none that can be read."""
    try:
        return Status.model_validate_json((folder / STATUS_FILE).read_bytes())
    except (OSError, ValidationError):
        return None
