"""Run folders with an unsafe set, of coverage and of an inspection, written without a DNN."""

from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.clusters.clusters import read_clusters
from pipelines.data.images import ImageFile, check_image
from pipelines.deepimportance.document import write_coverage
from pipelines.deepimportance.measurement import ImageActivations
from pipelines.deepimportance.quantisation import quantise
from pipelines.deepimportance.results import CRITERIA, CoverageResult
from pipelines.deepinspect.exported_job import inspect_exported
from pipelines.deepinspect.job import Options
from pipelines.runs.folder import open_run
from pipelines.runs.manifest import Manifest, write_part
from pipelines.safe import placement
from pipelines.unsafe_set.cut import Candidates
from pipelines.unsafe_set.files import Selection, write_candidates, write_unsafe_set


def quiet(stage, done, total):
    """Listen to nothing."""


def write_small_coverage(run: Path) -> Path:
    """Write a run of coverage: three neurons, two test sets and new images, drawn from a seed."""
    rng = np.random.default_rng(0)

    def measured(name, count):
        covered = {criterion: rng.random(9) < 0.5 for criterion in CRITERIA[1:]}
        folder = run.parent / name
        images = [ImageFile(f"{n}.png", f"{name} {n}".encode().hex()) for n in range(count)]
        if name == "new":  # they are exported
            folder.mkdir()
            for image in images:
                Image.new("RGB", (30, 40), (20 * len(image.path), 90, 120)).save(
                    folder / image.path
                )
            images = [check_image(folder, image.path) for image in images]
        return ImageActivations(
            folder=folder,
            images=images,
            rejected=[],
            outputs=rng.random((count, 2), dtype=np.float32),
            values=rng.random((count, 5), dtype=np.float32),
            covered=covered,
        )

    training = measured("training", 40)
    neurons = np.array([3, 0, 4])
    result = CoverageResult(
        layer="hidden",
        neurons=neurons,
        relevance=rng.random(5),
        regions=tuple(quantise(training.values[:, neuron]) for neuron in neurons),
        training=training,
        tests=(measured("test", 12), measured("noisy", 8)),
        names=("test", "noisy"),
        accuracies=(0.75, None),
        new=measured("new", 9),
    )
    manifest = Manifest(job="coverage", command=[], folder="/test", parameters={})
    with open_run(run, manifest, quiet) as opened:
        write_part(opened.manifest, write_coverage(run, result, quiet, "writing"))
    return run


def write_small_inspection(run: Path) -> Path:
    """Write an inspection of distances of four classes, with labels and predictions."""
    rng = np.random.default_rng(0)
    names = ("stop", "yield", "priority", "end")
    tables = {
        "distances.csv": [
            "class_a,class_b,distance",
            *(f"{a},{b},{rng.random():.4f}" for i, a in enumerate(names) for b in names[:i]),
        ]
    }
    for table in ("labels.csv", "predictions.csv"):
        rows = (f"{n:03}.png,{names[n % 4 if rng.random() < 0.8 else 0]}" for n in range(60))
        tables[table] = ["image,labels", *rows]
    for name, lines in tables.items():
        (run.parent / name).write_text("\n".join(lines) + "\n")
    distances, labels, predictions = (run.parent / name for name in tables)
    inspect_exported(
        distances, run, Options(), labels=labels, predictions=predictions, progress=quiet
    )
    return run


def choose_unsafe_set(run: Path, images: Path) -> Path:
    """Give a planted run an unsafe set of images, and all that placing new images takes."""
    paths = tuple(sorted(file.name for file in images.glob("*.png")))[:40]
    rng = np.random.default_rng(0)
    candidates = Candidates(
        paths,
        tuple(check_image(images, path).digest for path in paths),
        *(rng.random((40, width), dtype=np.float32) for width in (4, 12)),
        np.full(12, 0.3, np.float32),
        rng.random(40, dtype=np.float32),
        np.arange(5, 17),
    )
    selection = Selection(
        folder=str(images), images=40, rejected=0, inside=5, count=8, counted="as asked for",
        allocation="uniform", ranking="contrast", same_distance=0.1, seed=0,
        measured=write_candidates(run, candidates),
    )  # fmt: skip
    write_unsafe_set(run, selection, candidates, {paths[0]: "left"})
    clusters = read_clusters(run)
    np.savez(
        run / "reduction.npz",
        widths=np.array([6]), paths=np.array(clusters.paths), labels=clusters.labels,
        core=clusters.labels >= 0,
        points=rng.random((len(clusters.paths), 3), dtype=np.float32),
        passing_points=rng.random((9, 3), dtype=np.float32), length=np.array(1.0),
        mean=rng.random(6, dtype=np.float32), scale=np.ones(6, np.float32),
        axes=rng.random((3, 6), dtype=np.float32),
    )  # fmt: skip
    placement._read_run(run, clusters)
    return run
