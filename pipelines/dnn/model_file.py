"""The file of a Keras model: its content is read with limits, before Keras builds the model.

A file may come from somebody else: it may be damaged, of another framework, or malicious. Every
fault ends in a one-line message that names the file and the remedy.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import stat
import sys
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from pipelines.runs.errors import InputError

HDF5 = b"\x89HDF\r\n\x1a\n"
ZIP = b"PK\x03\x04"
SUFFIXES = {ZIP: (".keras",), HDF5: (".h5", ".hdf5")}
"""Suffixes from which Keras knows the format."""
OTHER_FORMATS = {
    ".pt": "PyTorch", ".pth": "PyTorch", ".onnx": "ONNX", ".engine": "TensorRT",
    ".plan": "TensorRT", ".trt": "TensorRT", ".pb": "TensorFlow's SavedModel format",
    ".tflite": "TensorFlow Lite", ".caffemodel": "Caffe", ".safetensors": "weights only",
}  # fmt: skip
WITHOUT_MODEL = (
    "No model is needed for clusters by what images look like: cluster, with --passing or without. "
    "inspect --distances reads what another framework exported. Other commands need a Keras model."
)
CONFIG = "config.json"
MAX_CONFIG = 64 * 2**20
"""Largest description of the layers, in bytes; real ones have a few megabytes at most."""
MAX_UNPACKED, MAX_RATIO = 2**30, 20
"""An archive is refused if it unpacks to more bytes than the first number, and to more than the
second number times its own size."""
MAX_DEPTH = 200
"""Largest number of levels of the description; each model inside a model adds four."""
TEXTS = ("class_name", "module", "registered_name")
TRUSTED = frozenset({"keras", "builtins"})


@dataclass(frozen=True)
class ModelFile:
    """The properties of a model file that can be read without building the model.

    Attributes
    ----------
    path : Path
    digest : str
        SHA-256 of the file.
    packed : bool
        Whether it is an archive (`.keras`); otherwise it is HDF5.
    config : dict
        The description of the layers, as in the file.
    keras : str
        Version of Keras that saved it; empty if the file does not say it.
    """

    path: Path
    digest: str
    packed: bool
    config: dict[str, object]
    keras: str


def check_file(file: Path) -> ModelFile:
    """Return format and digest of a model file, without reading its description.

    Raises
    ------
    InputError
        When it cannot be read, or its format is not one of Keras's.
    """
    try:
        mode = file.stat().st_mode
        if stat.S_ISDIR(mode):
            _refuse_folder(file)
        if not stat.S_ISREG(mode):  # reading a pipe or a device might never end
            raise InputError(
                f"{file} is no file but a device or a pipe: expected a Keras model file (.keras, "
                ".h5). Save the model to a file."
            )
        with file.open("rb") as opened:
            begin = opened.read(8)
            opened.seek(0)
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            f"{file} cannot be read: {error.strerror}. Name a Keras model file (.keras, .h5)."
        ) from error
    kind = next((magic for magic in SUFFIXES if begin.startswith(magic)), None)
    if other := OTHER_FORMATS.get(file.suffix):
        if file.suffix == ".pb" and file.name == "saved_model.pb":
            _refuse_folder(file.absolute().parent)
        raise InputError(
            f"{file} is no Keras model file (.keras, .h5): it is a file of {other}. {WITHOUT_MODEL}"
        )
    if kind is None:
        raise InputError(
            f"{file} is no Keras model file (.keras, .h5): it begins with {begin!r}. Save the "
            f"model as .keras. {WITHOUT_MODEL}"
        )
    if file.suffix not in SUFFIXES[kind]:
        right = SUFFIXES[kind][0]
        raise InputError(
            f"{file} has the format of {right} files, by which Keras does not know it: rename it "
            f"to {file.with_suffix(right).name}."
        )
    return ModelFile(file, digest, kind == ZIP, {}, "")


def _refuse_folder(folder: Path) -> NoReturn:
    if not (folder / "saved_model.pb").is_file():
        raise InputError(f"{folder} is a folder: expected a Keras model file (.keras or .h5).")
    raise InputError(
        f"{folder} is a folder: expected a Keras model file (.keras or .h5). It is a SavedModel of "
        f"Keras 2. This command converts it: {conversion(folder)}"
    )


def conversion(model: Path) -> str:
    """Return the command that loads a model of Keras 2 with Keras 2, and saves it as `.h5`.

    Keras 2 is the package tf-keras, which works with the installed TensorFlow.
    """
    python = shlex.quote(sys.executable)
    release = ".".join(version("tensorflow").split(".")[:2])
    source, target = str(model), str(model.with_name(f"{model.stem}-converted.h5"))
    code = f"import tf_keras as k; k.models.load_model({source!r}, compile=False).save({target!r})"
    return (
        f"{python} -m pip install --no-deps --target keras2 'tf-keras=={release}.*' && "
        f"PYTHONPATH=keras2 {python} -c {shlex.quote(code)}"
    )


def read_description(file: ModelFile) -> ModelFile:
    """Read the description of the layers, without building them.

    Raises
    ------
    InputError
        When the file is damaged, has no description, or one beyond the limits.
    """
    try:
        text, keras = _read_packed(file.path) if file.packed else _read_hdf5(file.path)
        if not isinstance(text, (str, bytes)):
            raise ValueError(f"its description of layers is no text but {type(text).__name__}")
        if len(text) > MAX_CONFIG:
            raise ValueError(_too_long(len(text)))
        config = json.loads(text)
        if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
            raise ValueError("its description of layers names no model")
        for entry in iterate_objects(config):
            for key in TEXTS:
                if "class_name" in entry and not isinstance(entry.get(key), str | None):
                    raise ValueError(f"its description of layers has {key} {entry[key]!r:.80}")
    except InputError:
        raise
    except KeyError as error:
        raise InputError(
            f"{file.path} holds no whole Keras model ({error.args[0]}): weights alone are not "
            "enough. Save the model with its layers, as .keras."
        ) from error
    except Exception as error:  # zipfile, zlib, lzma and h5py raise errors of any kind
        reason = f"{error}".strip().split("\n")[0][:200] or type(error).__name__
        raise InputError(
            f"{file.path} holds no whole Keras model ({reason}): it is damaged, or was not written "
            "by Keras. Copy it again, or save the model again as .keras."
        ) from error
    return replace(file, config=config, keras=keras[:20])


def _too_long(size: int) -> str:
    return f"its description of layers has {size:,} bytes, expected at most {MAX_CONFIG:,}"


def _read_packed(path: Path) -> tuple[bytes, str]:
    with zipfile.ZipFile(path) as archive:
        if (size := archive.getinfo(CONFIG).file_size) > MAX_CONFIG:
            raise ValueError(_too_long(size))
        unpacked = sum(info.file_size for info in archive.infolist())
        if unpacked > max(MAX_UNPACKED, MAX_RATIO * path.stat().st_size):
            raise ValueError(f"it would unpack to {unpacked:,} bytes")
        if damaged := archive.testzip():  # raises for encrypted or broken entries
            raise ValueError(f"{damaged} has another checksum than was written")
        keras = ""
        if "metadata.json" in archive.namelist():
            metadata = json.loads(archive.read("metadata.json"))
            keras = str(metadata.get("keras_version", "")) if isinstance(metadata, dict) else ""
        return archive.read(CONFIG), keras


def _read_hdf5(path: Path) -> tuple[object, str]:
    import h5py

    with h5py.File(path) as archive:
        text, keras = archive.attrs["model_config"], archive.attrs.get("keras_version", "")
    return text, keras.decode() if isinstance(keras, bytes) else str(keras)


def iterate_entries(config: object) -> Iterator[dict[str, object]]:
    """Iterate over all objects of a description that name a class, in their order.

    Raises
    ------
    ValueError
        When it has more than `MAX_DEPTH` levels.
    """
    return (entry for entry in iterate_objects(config) if isinstance(entry.get("class_name"), str))


def iterate_objects(config: object) -> Iterator[dict[str, object]]:
    """Iterate over all objects of a description; see `iterate_entries`."""
    waiting: list[tuple[object, int]] = [(config, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise ValueError(f"its description of layers has more than {MAX_DEPTH} levels")
        if isinstance(value, dict):
            yield value
            waiting += [(part, depth + 1) for part in reversed(list(value.values()))]
        elif isinstance(value, list):
            waiting += [(part, depth + 1) for part in reversed(value)]


def as_settings(entry: dict[str, object]) -> dict[str, object]:
    """Return the arguments of the object that an entry describes; empty if it has none."""
    settings = entry.get("config")
    return settings if isinstance(settings, dict) else {}


def name_of(entry: dict[str, object]) -> str:
    """Return the name of the layer that an entry describes; empty if it has none."""
    return str(as_settings(entry).get("name", ""))


def check_code(file: Path, config: object, trust: bool, trusted: Collection[str] = TRUSTED) -> None:
    """Raise InputError for code inside the file, and for classes that are not Keras's own.

    Parameters
    ----------
    trusted : collection of str
        Packages whose classes are Keras's own.
    """
    for entry in iterate_entries(config):
        kind, module = str(entry["class_name"]), entry.get("module")
        name, registered = name_of(entry), str(entry.get("registered_name") or kind)
        if kind in {"Lambda", "__lambda__"} and not trust:
            raise InputError(
                f"{file}: layer {name or kind!r} is a Lambda layer, code that would run on this "
                "machine. Give --trust-model on the command line if you trust the file."
            )
        if ">" in registered and registered.split(">", maxsplit=1)[0].lower() not in TRUSTED:
            raise InputError(
                f"{file}: layer {name!r} is of the registered class {registered}, whose code is "
                "not in the file. Only Keras's own layers can be loaded: replace that layer."
            )
        if module and str(module).split(".")[0] not in trusted:
            raise InputError(
                f"{file}: layer {name!r} is of the class {kind} of {module}, which is not in the "
                "file. Only Keras's own layers can be loaded: replace that layer."
            )
