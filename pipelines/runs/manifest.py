"""The files that describe a run: `run.json`, and `status.json` during the job."""

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
from pipelines.runs.guard import find_file_inside, name_damaged_file

MANIFEST_FILE = "run.json"
STATUS_FILE = "status.json"

DocumentOf = TypeVar("DocumentOf", bound=BaseModel)
PartOf = TypeVar("PartOf", bound="Part")
Number = int | float
"""A number from the user: `run.json` stores 20 as 20, not as 20.0."""


def now() -> str:
    """Return the current time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _moment(text: str) -> str:
    datetime.fromisoformat(text)
    return text


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that results depend on."""
    libraries = ("tensorflow", "keras", "scikit-learn", "numpy", "scipy", "pillow", "kneed")
    return {"python": platform.python_version()} | {name: version(name) for name in libraries}


class NoManifestError(InputError):
    """Raised when a folder has no `run.json` that this version of the tool can read."""


class Stage(BaseModel):
    """The time and memory of one stage of a job.

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
    """Numbers of files: found below the folder, used as images, and rejected."""

    found: int = 0
    used: int = 0
    rejected: int = 0


class Manifest(BaseModel):
    """`run.json`: all data needed to judge a run and to repeat it.

    Attributes
    ----------
    ended : str
        "running", "finished", "stopped" (by the user) or "failed" (`message` says why). If it is
        "running" and the process does not exist any more, the job was killed.
    command : list of str
        The arguments of `SAFE_Tool.py` that started the job; they can start it again.
    parameters : dict
        All options of the job, with defaults filled in.
    weights : dict
        Recipe, source, layers and digest of the network that extracted the features.
    chosen : dict
        Choices of the job: precision, components, eps, min_samples, ...
    result : dict
        Counts and scores of the outcome. Every job has its own entries in these four; `read_part`
        reads them.
    notes : list of str
        What the user should know about this run, in sentences.
    replacing : bool
        Whether files of the run that this one replaces may still be in the folder; `run.json` has
        it only if that is true.
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
    """The file that it was read from or written to, for messages."""


class Part(BaseModel):
    """The entries of a job in one part of its manifest; this model writes and reads them.

    A field has a default when runs of earlier versions lack it, or when nothing reads it. Entries
    that later versions add are ignored.

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
        """Return the entries for `run.json`: the fields that were set, in the model's order."""
        return self.model_dump(exclude_unset=True, by_alias=True)


class Document(BaseModel):
    """A JSON file of a run, or an object in it; this model writes and reads it.

    Every entry has exactly the type in the model, is finite, and is in the model.  A field has a
    default when files of earlier versions lack it.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Status(BaseModel):
    """`status.json`: the progress of a running job.

    Attributes
    ----------
    stage : str
    done, total : int
        Steps of the stage; `total` is 0 while their number is not known.
    seconds_left : float or None
        Estimate for this stage; None while there is no estimate.
    pid : int
        Identifier of the process that does the job.
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
        When there is no such file, or this version of the tool cannot read it.
    """
    path = folder / MANIFEST_FILE
    try:
        manifest = _parse(path, Manifest)
    except (FileNotFoundError, NotADirectoryError):
        raise NoManifestError(f"it has no {MANIFEST_FILE}") from None
    except OSError as error:
        raise NoManifestError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise NoManifestError(f"{path} is not a manifest of schema version 1: {error}") from error
    manifest._file = path
    return manifest


def read_run_manifest(run: Path) -> Manifest:
    """Read `run.json`; raise InputError when the folder is not a run folder."""
    try:
        return read_manifest(run)
    except NoManifestError as error:
        raise InputError(
            f"{run} is not a run folder: {error}. Name a folder that a job has written."
        ) from error


def check_replaced(run: Path) -> None:
    """Raise InputError if a job ended while it removed the run that it replaces.

    The remaining files in the folder are then of neither run.
    """
    with suppress(NoManifestError):
        if (manifest := read_manifest(run)).replacing:
            raise InputError(
                f"{run} holds the remains of an earlier run: the job {manifest.job} ended while it "
                "replaced that run. Run it again, with --overwrite."
            )


def write_part(manifest: Manifest, values: Part) -> None:
    """Add a job's entries to a manifest; `run.json` itself is written when a stage ends."""
    getattr(manifest, values.part).update(values.entries())


def read_part(manifest: Manifest, kind: type[PartOf]) -> PartOf:
    """Read a job's entries in one part of its manifest.

    Raises
    ------
    InputError
        When an entry is missing or of another type: somebody may have edited the file.
    """
    try:
        return kind.model_validate(getattr(manifest, kind.part))
    except ValidationError as error:
        raise InputError(
            f"{manifest._file} is not as the tool writes it ({kind.part}.{_first_error(error)}). "
            f"Take the file from a backup, or run its job ({manifest.job}) again."
        ) from error


def find_part(manifest: Manifest, kind: type[PartOf]) -> PartOf | None:
    """Read entries that a job writes only at a later stage; None if there are none.

    Raises
    ------
    InputError
        When only some of the entries exist, or one is of another type.
    """
    fields = kind.model_fields.items()
    required = {field.alias or name for name, field in fields if field.is_required()}
    return read_part(manifest, kind) if required & getattr(manifest, kind.part).keys() else None


def read_document(path: Path, model: type[DocumentOf], mend: str) -> DocumentOf | None:
    """Read a JSON file of a run; None when there is no such file.

    Parameters
    ----------
    model : pydantic model
        The structure of the file.
    mend : str
        What the user can do when the file cannot be read, as a sentence.

    Raises
    ------
    InputError
        When the file does not match the model.
    """
    try:
        return _parse(path, model)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. {mend}") from error
    except ValueError as error:
        raise InputError(f"{path} does not match schema version 1: {error}. {mend}") from error


def read_needed_document(run: Path, name: str, model: type[DocumentOf], or_else: str) -> DocumentOf:
    """Read a JSON file that a run must have.

    Parameters
    ----------
    or_else : str
        Advice if there is no backup; see `guard.name_damaged_file`.

    Raises
    ------
    InputError
        When there is no such file, or it does not match the model.
    """
    with name_damaged_file(run / name, or_else):
        return _parse(find_file_inside(run, name), model)


def _parse(path: Path, model: type[DocumentOf]) -> DocumentOf:
    """Parse a JSON file; raise ValueError unless it is as the model says, with finite numbers."""
    content = path.read_bytes()
    try:
        document = model.model_validate_json(content)
    except ValidationError as error:
        raise ValueError(_first_error(error)) from error
    parse_json(content)
    return document


def _first_error(error: ValidationError) -> str:
    """Return the first of the errors of a model, in one line."""
    first = error.errors()[0]
    entry = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{entry}: {first['msg']}"


def list_runs(folder: Path) -> list[tuple[Path, Manifest]]:
    """List the run folders directly inside a folder, the latest start first.

    Folders that are not runs, or cannot be read, are left out.
    """
    runs = []
    try:
        paths = list(folder.iterdir())
    except OSError:
        return []
    for path in paths:
        with suppress(NoManifestError):
            runs.append((path, read_manifest(path)))
    return sorted(runs, key=lambda run: (run[1].started_at, run[0].name), reverse=True)


def read_status(folder: Path) -> Status | None:
    """Read `status.json`; None when there is no such file, or it cannot be read."""
    try:
        return Status.model_validate_json((folder / STATUS_FILE).read_bytes())
    except (OSError, ValidationError):
        return None
