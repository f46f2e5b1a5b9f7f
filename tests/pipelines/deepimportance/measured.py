"""A small DNN, sets of images for it, and the measurement of their coverage."""

from pipelines.deepimportance.job import Options, measure_coverage
from pipelines.deepimportance.quantisation import find_regions, quantise
from pipelines.deepimportance.results import read_coverage
from pipelines.dnn.keras import import_keras
from pipelines.runs.manifest import read_manifest
from tests import heights
from tests.heights import draw, quiet


def build(end=None, hidden=8):
    return heights.build(hidden=hidden, end=end, name="end")


def save_model(file):
    keras, _ = import_keras()
    keras.utils.set_random_seed(3)
    build().save(file)
    return file


def draw_folders(root):
    """Draw a training set, two test sets and new images; one file is no image."""
    draw(root / "training", 1, 80)
    draw(root / "test", 2, 24)
    draw(root / "other" / "test", 3, 12)
    draw(root / "new", 4, 40)
    (root / "test" / "left" / "bad.png").write_bytes(b"no image")
    return root


def measure(model, folders, out, tests=("test",), overwrite=False, **options):
    if options.pop("new", False):
        options["candidates"] = folders / "new"
    return measure_coverage(
        model,
        folders / "training",
        [folders / test for test in tests],
        out,
        Options(**options),
        progress=quiet,
        overwrite=overwrite,
    )


def regions_of(coverage_run, measurements):
    neurons = read_manifest(coverage_run).chosen["neurons"]
    training = measurements["training"][2]["hidden"]
    regions = [quantise(training[:, neuron]) for neuron in neurons]
    return {
        name: find_regions(measurement[2]["hidden"][:, neurons], regions)
        for name, measurement in measurements.items()
    }, [len(neuron_regions.centroids) for neuron_regions in regions]


def document_of(run):
    """Return what `coverage.json` of a run says, as plain lists and dicts."""
    return read_coverage(run).model_dump()
