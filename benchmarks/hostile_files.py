"""Damaged tables, documents, archives and models: which there are, and who reads them.

Every file is read by all that read it: views of the page, and jobs as far as they read what is
given.  The files are of runs that the tool itself wrote.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import BaseModel

from app.server.views.clusters import describe, read_values
from app.server.views.confusion import describe_inspection, describe_pair
from app.server.views.coverage import describe_coverage
from app.server.views.heatmaps import describe_heatmaps, describe_layers
from app.server.views.retraining import describe_retraining
from app.server.views.unsafe_set import describe_cut
from benchmarks.hostile_reader import Kind
from pipelines.clusters.explanation_tables import TableFiles, read_tables
from pipelines.clusters.passing import read_passing, read_test_images
from pipelines.clusters.report.report import write_report
from pipelines.clusters.results import read_known_clusters
from pipelines.clusters.verdicts import find_earlier_words
from pipelines.data.image_lists import list_images
from pipelines.data.labels import read_truth
from pipelines.deepimportance.results import export_widening
from pipelines.deepinspect.imports import read_distances, read_labels
from pipelines.hudd import placement as hudd
from pipelines.retraining.sets import read_clustered
from pipelines.runs.errors import InputError
from pipelines.runs.files import write_pairs
from pipelines.runs.manifest import read_run_manifest, read_status
from pipelines.safe import placement as safe
from pipelines.unsafe_set.files import read_current_set
from tests.mutated_models import damage_h5, damage_keras
from tests.mutations import damage_bytes, damage_structure

CLASSES = ("stop", "yield", "priority", "end")
Read = Callable[[Path], object]
"""Reads a file, and returns what it takes from it."""


# --- the files ----------------------------------------------------------------------------------


def write_world(folder: Path) -> None:
    """Write runs of all jobs, tables and models; TensorFlow is imported."""
    from pipelines.deepinspect.job import Options as InspectOptions
    from pipelines.deepinspect.job import inspect_model
    from pipelines.dnn.job import EvaluationOptions
    from pipelines.dnn.keras import import_keras
    from pipelines.retraining.job import retrain
    from pipelines.retraining.training import Options
    from tests import heights
    from tests.planted import write_planted_run
    from tests.small_runs import choose_unsafe_set, write_small_coverage, write_small_inspection
    from tests.spots import make_world

    write_planted_run(folder / "planted", passing=True)
    run = choose_unsafe_set(folder / "planted" / "run", folder / "planted" / "passing")
    write_pairs(run / "rejected.txt", [("notes.txt", "no image"), ("sub/a b.gif", "cut short")])
    for name in ("covered", "inspected", "models"):
        (folder / name).mkdir()
    write_small_coverage(folder / "covered" / "run")
    write_small_inspection(folder / "inspected" / "run")
    world = make_world(folder / "spots")
    retrain(
        world.model, world.train, world.run, world.test, folder / "retrained",
        EvaluationOptions(), Options(epochs=3, batch_size=32), progress=quiet,
    )  # fmt: skip
    inspect_model(world.model, world.test, folder / "looked", InspectOptions(), progress=quiet)
    keras, _ = import_keras()
    keras.utils.set_random_seed(3)
    model = heights.build()
    model.compile("adam", "sparse_categorical_crossentropy")
    for suffix in (".keras", ".h5"):
        model.save(folder / "models" / f"dnn{suffix}")
    _write_lists(folder / "lists")


def _write_lists(folder: Path) -> None:
    """Write a few images, lists of them, and a table of their classes as GTSRB has it."""
    names = [f"{number:05}.png" for number in range(12)]
    folder.mkdir()
    for place, name in enumerate(names):
        Image.new("RGB", (30 + place, 40), (20 * place, 90, 120)).save(folder / name)
    lines = ["Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"]
    lines += [f"{name};{30 + place};40;5;5;25;35;{place % 4}" for place, name in enumerate(names)]
    (folder / "GT-00000.csv").write_text("\n".join(lines) + "\n")
    (folder / "list.csv").write_text("path,note\n" + "".join(f"{name},x\n" for name in names))
    (folder / "list.txt").write_text("".join(f"{name}\n" for name in names))


def quiet(*progress: object) -> None:
    """Listen to nothing."""


# --- who reads them -----------------------------------------------------------------------------


def read_all(path: Path, readers: tuple[Read, ...]) -> bytes:
    """Have a file read by all; raise the first refusal, one that does not name the file before."""
    refusals, contents = [], []
    for read in readers:
        try:
            contents.append(as_bytes(read(path)))
        except InputError as error:
            refusals.append(error)
    if refusals:
        raise min(refusals, key=lambda error: path.name in str(error))
    return b"\n".join(contents)


def as_bytes(value: Any) -> bytes:
    """Return bytes that are the same for the same values, arrays and all."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}".encode() + value.tobytes()
    if isinstance(value, BaseModel):
        return value.model_dump_json().encode()
    if is_dataclass(value):
        return as_bytes([getattr(value, field.name) for field in fields(value)])
    if isinstance(value, dict):
        return as_bytes([part for item in value.items() for part in item])
    if isinstance(value, list | tuple | set):
        return b"[" + b",".join(map(as_bytes, value)) + b"]"
    return repr(value).encode("utf-8", "backslashreplace")


def view(describe_run: Read) -> Read:
    """Return a view of a file's run folder, as the JSON that the server answers with."""
    return lambda path: json.dumps(describe_run(path.parent), allow_nan=False)


def read_report(run: Path) -> str:
    """Write the report of a run, and return it."""
    write_report(run)
    return (run / "report.html").read_text(encoding="utf-8")


def read_model(path: Path) -> object:
    """Load a model as every job does, and predict one image."""
    from pipelines.dnn.keras import import_keras
    from pipelines.dnn.model import load_network
    from pipelines.retraining.recipe import read_recipe

    keras, _ = import_keras()
    keras.backend.clear_session()
    network = load_network(path)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 20, 24, 3)).astype(np.float32)
    recipe = read_recipe(network, "classes", None)
    recipe.make_optimizer()
    outputs = np.asarray(network.model(pixels))
    return [outputs, recipe.optimizer, recipe.loss_name, recipe.learning_rate, recipe.sources]


CLUSTERS: tuple[Read, ...] = (
    view(describe),
    view(lambda run: read_values(run, "parameters", 0)),
    view(lambda run: read_values(run, "parameters", 2)),
    view(lambda run: read_values(run, "properties", 0)),
    view(lambda run: describe_cut(read_current_set(run))),
    lambda path: read_clustered(path.parent),
    lambda path: find_earlier_words(path.parent, read_run_manifest(path.parent).folder),
    lambda path: safe._read_run(path.parent, read_known_clusters(path.parent)[0]).points,
)
HEATMAPS: tuple[Read, ...] = (
    view(describe_layers),
    view(lambda run: describe_heatmaps(run, "input", 0)),
    lambda path: hudd._read_clusters(path.parent, 0).reaches,
    lambda path: hudd._read_manifest(read_run_manifest(path.parent)),
)
INSPECTION: tuple[Read, ...] = (
    view(describe_inspection),
    view(lambda run: describe_pair(run, 0, 1)),
)
COVERAGE: tuple[Read, ...] = (
    view(describe_coverage),
    lambda path: _export(path.parent),
)


def _export(run: Path) -> object:
    with tempfile.TemporaryDirectory() as folder:
        return export_widening(run, Path(folder, "out"), quiet)


def _read_user_tables(path: Path) -> object:
    images = path.parent
    table_files = TableFiles(
        (images / "parameters.csv", images / "labels.csv"), ("gaze_angle",),
        images / "unsafe_values.csv",
    )  # fmt: skip
    tables = read_tables(table_files, images, [f"eye {n:03d}.png" for n in range(100)])
    return [tables.table, tables.unsafe_values, tables.problems]


def _read_labels(path: Path) -> object:
    return read_truth(path.parent, [f"{number:05}.png" for number in range(12)])


# --- kinds --------------------------------------------------------------------------------------


def _kind(file: str, *readers: Read) -> tuple[str, Kind]:
    suffix = Path(file).suffix
    structure = {".keras": damage_keras, ".h5": damage_h5}.get(
        suffix, partial(damage_structure, Path(file))
    )

    def mutate(content: bytes, random: np.random.Generator) -> tuple[str, bytes]:
        draw = random.random()
        if draw < 0.01:
            return "empty", b""
        return (damage_bytes if draw < 0.5 else structure)(content, random)

    return file, Kind(partial(read_all, readers=readers), mutate)


KINDS = dict(
    [
        *(
            _kind(f"planted/run/{name}", *CLUSTERS)
            for name in (
                "images.csv", "parameters.csv", "properties.csv", "unsafe_set.csv",
                "selection.json", "selection.npz", "reduction.npz", "rejected.txt",
            )
        ),
        *(
            _kind(f"planted/run/{name}", *CLUSTERS, lambda path: read_report(path.parent))
            for name in ("run.json", "explanation.json", "clusters.csv")
        ),
        _kind("planted/run/passing.csv", lambda path: read_passing(path.parent)),
        _kind("planted/run/status.json", lambda path: read_status(path.parent)),
        *(
            _kind(f"planted/images/{name}", _read_user_tables)
            for name in ("parameters.csv", "labels.csv", "unsafe_values.csv")
        ),
        _kind("lists/GT-00000.csv", _read_labels),
        _kind("lists/list.csv", list_images),
        _kind("lists/list.txt", list_images),
        _kind("spots/tested/failures.txt", list_images),
        _kind("spots/tested/testResult.csv", lambda path: read_test_images(path.parent)),
        _kind("spots/tested/run.json", lambda path: read_test_images(path.parent)),
        *(
            _kind(f"spots/run/{name}", *HEATMAPS, *CLUSTERS[:1])
            for name in ("run.json", "layers.csv", "heatmaps.npz")
        ),
        _kind("spots/run/heatmaps/pictures.csv", lambda path: HEATMAPS[0](path.parent)),
        *(
            _kind(f"inspected/run/{name}", *INSPECTION)
            for name in (
                "run.json", "classes.csv", "confusion.csv", "bias.csv", "evaluation.json",
                "activation.npz",
            )
        ),
        _kind("looked/predictions.csv", *INSPECTION),
        _kind("inspected/distances.csv", read_distances),
        _kind("inspected/labels.csv", lambda path: read_labels(path, "--labels", CLASSES)),
        *(_kind(f"covered/run/{name}", *COVERAGE) for name in ("coverage.json", "widening.csv")),
        *(
            _kind(f"retrained/{name}", view(describe_retraining))
            for name in ("run.json", "retraining.json", "history.csv", "before_after.csv")
        ),
        _kind("models/dnn.keras", read_model),
        _kind("models/dnn.h5", read_model),
    ]
)  # fmt: skip
"""By the file's place in the folder that `write_world` writes."""
