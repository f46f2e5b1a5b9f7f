"""HUDD from end to end, on real pictures and a small DNN: test, heatmaps, select."""

import hashlib
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from pipelines.clusters.clusters import read_clusters, read_labels
from pipelines.clusters.explain import NO_TABLES, explain_run
from pipelines.clusters.report.report import write_report
from pipelines.dnn import job as dnn_job
from pipelines.dnn.job import EvaluationOptions
from pipelines.dnn.keras import import_keras
from pipelines.dnn.relevance import build_relevance
from pipelines.hudd import job
from pipelines.hudd.clustering import cluster_layer
from pipelines.hudd.heatmaps import draw_maps
from pipelines.hudd.job import Options, find_clusters_by_heatmaps
from pipelines.hudd.placement import measure
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv, replace_cells
from pipelines.runs.manifest import read_manifest
from pipelines.unsafe_set.files import read_candidates
from pipelines.unsafe_set.job import SelectionOptions, select_unsafe_set
from tests.foreign import find_undeclared, read_files, write_foreign
from tests.heights import SIZE, draw, quiet, save_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small DNN with the weights it starts from: wrong on about every other image."""
    return save_model(tmp_path_factory.mktemp("model") / "dnn.keras")


@pytest.fixture(scope="module")
def evaluation_run(model, tmp_path_factory):
    images = draw(tmp_path_factory.mktemp("test") / "images", 1, 60)
    out = tmp_path_factory.mktemp("tested") / "test"
    dnn_job.test_model(model, images, out, EvaluationOptions(), progress=quiet)
    return out


def find(model, source, out, overwrite=False, **options):
    return find_clusters_by_heatmaps(
        model, source, out, Options(**options), progress=quiet, overwrite=overwrite
    )


@pytest.fixture(scope="module")
def original_run(model, evaluation_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    find(model, evaluation_run / "failures.txt", out)
    return out


@pytest.fixture
def run(original_run, tmp_path):
    return shutil.copytree(original_run, tmp_path / "run")


def heatmaps_of(model, folder, paths, layer):
    keras, _ = import_keras()
    propagate = build_relevance(keras.models.load_model(model), layers=(layer,))
    pixels = np.stack([np.asarray(Image.open(folder / path)) for path in paths])
    relevances = propagate(pixels.astype(np.float32), np.full(len(paths), -1, np.int32))
    return relevances.layers[layer].reshape(len(paths), -1).astype(np.float64)


def distances_of(rows, others):
    return np.sqrt(((rows[:, None] - others[None]) ** 2).sum(axis=2))


def test_every_failing_image_is_in_one_cluster(original_run, evaluation_run):
    failures = (evaluation_run / "failures.txt").read_text().splitlines()[1:]
    labels = read_labels(original_run)
    assert sorted(labels) == sorted(failures)
    assert len(failures) > 10
    sizes = np.bincount(list(labels.values()))
    assert (np.diff(sizes) <= 0).all()
    assert sizes.all()
    assert read_clusters(original_run).core.all()
    assert (original_run / "gifs" / "cluster_000.gif").is_file()
    report = (original_run / "report.html").read_text()
    assert "grouped by what drove the DNN" in report
    assert "min samples" not in report
    assert not list(original_run.glob(".heatmaps*"))


def test_layers_are_clustered_as_the_paper_says(original_run, evaluation_run, model):
    folder, paths = read_manifest(original_run).folder, sorted(read_labels(original_run))
    rows = read_csv(original_run / "layers.csv")
    assert [row["layer"] for row in rows] == ["conv", "pool", "hidden"]
    for row in rows:
        maps = heatmaps_of(model, evaluation_run.parent / folder, paths, row["layer"])
        unit_maps = (maps - maps.min()) / (maps.max() - maps.min())
        again = cluster_layer("x", distances_of(unit_maps, unit_maps).astype(np.float32))
        assert int(row["clusters"]) == again.clusters
        assert float(row["wicd"]) == pytest.approx(again.wicd, rel=1e-3)
        if row["chosen"] == "1":
            assert read_labels(original_run) == dict(zip(paths, again.labels.tolist(), strict=True))
            stored_maps = np.load(original_run / "heatmaps" / "layer.npy")
            assert np.allclose(stored_maps, maps, atol=1e-4)
    (row_of_layer,) = [row for row in rows if row["chosen"] == "1"]
    assert float(row_of_layer["wicd"]) == min(float(row["wicd"]) for row in rows)
    pictures = {
        row["layer"]: row["file"] for row in read_csv(original_run / "heatmaps" / "pictures.csv")
    }
    assert list(pictures) == ["conv", "pool", "input"]
    maps = heatmaps_of(model, evaluation_run.parent / folder, paths, "input")
    maps = maps.reshape(len(paths), SIZE[1], SIZE[0], 3).sum(axis=3)
    for own, stored_maps in zip(
        maps, np.load(original_run / "heatmaps" / pictures["input"]), strict=True
    ):
        large = np.quantile(np.abs(own), 0.99)
        assert np.abs(127 * np.clip(own / large, -1, 1) - stored_maps).max() <= 0.52


def test_the_same_input_gives_the_same_files(original_run, model, evaluation_run, tmp_path):
    find(model, evaluation_run / "failures.txt", tmp_path / "again")
    for name in ("labels.txt", "clusters.csv", "images.csv", "heatmaps/layer.npy"):
        assert (original_run / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_the_worst_output_of_the_test_is_explained(model, evaluation_run, tmp_path):
    """With a test, the outputs that it names are explained; else the predicted classes are."""
    other = shutil.copytree(evaluation_run, tmp_path / "other")
    text = (other / "testResult.csv").read_text().splitlines()
    header = text[0].split(",")
    place = header.index("explained output")
    rows = [line.split(",") for line in text[1:]]
    for row in rows:
        row[place] = str(1 - int(row[place]))
    lines = [text[0], *(",".join(row) for row in rows)]
    (other / "testResult.csv").write_text("\n".join(lines) + "\n")
    find(model, other / "failures.txt", tmp_path / "run", layers=("hidden",))
    shutil.copy(evaluation_run / "failures.txt", tmp_path / "list.txt")
    find(model, tmp_path / "list.txt", tmp_path / "plain", layers=("hidden",))
    by_worst, plain = (np.load(tmp_path / n / "heatmaps" / "layer.npy") for n in ("run", "plain"))
    assert not np.allclose(by_worst, plain)
    paths = sorted(read_labels(tmp_path / "plain"))
    folder = read_manifest(tmp_path / "plain").folder
    assert np.allclose(plain, heatmaps_of(model, tmp_path / folder, paths, "hidden"), atol=1e-4)


def test_the_user_can_choose_layers(model, evaluation_run, tmp_path):
    find(model, evaluation_run / "failures.txt", tmp_path / "run", layers=("pool",))
    assert [row["layer"] for row in read_csv(tmp_path / "run" / "layers.csv")] == ["pool"]
    with pytest.raises(InputError, match=r"no layer 'nose' with heatmaps.*conv, pool, hidden"):
        find(model, evaluation_run / "failures.txt", tmp_path / "other", layers=("nose",))


def test_few_images_are_noted_and_none_are_refused(model, evaluation_run, tmp_path):
    lines = (evaluation_run / "failures.txt").read_text().splitlines()
    (tmp_path / "few.txt").write_text("\n".join(lines[:4]) + "\n")
    manifest = find(model, tmp_path / "few.txt", tmp_path / "few")
    assert any("Only 3 images" in note for note in manifest.notes)
    assert set(read_labels(tmp_path / "few").values()) == {0}
    (tmp_path / "none.txt").write_text(lines[0] + "\n")
    with pytest.raises(InputError, match="there are no failures to look at"):
        find(model, tmp_path / "none.txt", tmp_path / "none")


def test_an_unsupported_layer_is_named_and_the_earlier_run_is_kept(
    original_run, evaluation_run, run, tmp_path
):
    keras, _ = import_keras()
    layers = keras.layers
    stack = [keras.Input((SIZE[1], SIZE[0], 3)), layers.Rescaling(1.0), layers.Reshape((20, 72))]
    dnn = keras.Sequential([*stack, layers.LSTM(4, name="memory"), layers.Dense(2, "softmax")])
    dnn.save(tmp_path / "lstm.keras")
    before = (run / "labels.txt").read_bytes()
    image_list = shutil.copy(evaluation_run / "failures.txt", tmp_path / "list.txt")
    with pytest.raises(InputError, match="'memory'"):
        find(tmp_path / "lstm.keras", image_list, run, overwrite=True, scaling="none")
    with pytest.raises(InputError, match="is another model than before"):  # it was not tested
        find(tmp_path / "lstm.keras", evaluation_run / "failures.txt", run, overwrite=True)
    assert (run / "labels.txt").read_bytes() == before
    assert not list(run.glob(".heatmaps*"))


# --- the unsafe set -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def improvement(tmp_path_factory):
    folder = draw(tmp_path_factory.mktemp("new") / "new", 2, 30)
    (folder / "bad.png").write_bytes(b"no image")
    return folder


def select(run, improvement, **options):
    return select_unsafe_set(run, improvement, SelectionOptions(**options), measure, progress=quiet)


def test_distances_are_those_of_raw_heatmaps(run, improvement, model):
    selection = select(run, improvement, count=8, duplicates=True)
    assert (selection.images, selection.rejected, selection.chosen) == (30, 1, 8)
    candidates = read_candidates(run)
    layer = read_manifest(run).chosen["layer"]
    labels = read_labels(run)
    paths = sorted(labels)
    folder = run.parent / read_manifest(run).folder
    new = heatmaps_of(model, improvement, candidates.paths, layer)
    failing_maps = heatmaps_of(model, folder, paths, layer)
    clusters = np.array([labels[path] for path in paths])
    between, within = distances_of(new, failing_maps), distances_of(failing_maps, failing_maps)
    np.fill_diagonal(within, np.inf)
    for cluster in range(clusters.max() + 1):
        inside = np.flatnonzero(clusters == cluster)
        naive = between[:, inside].min(axis=1)
        assert np.allclose(candidates.distances[:, cluster], naive, rtol=1e-3, atol=1e-4)
        if len(inside) > 1:
            reach = within[np.ix_(inside, inside)].min(axis=1).max()
            assert candidates.reaches[cluster] == pytest.approx(reach, rel=1e-3)
    assert candidates.sizes.tolist() == np.bincount(clusters).tolist()


def test_the_failing_images_themselves_are_chosen_for_their_own_clusters(run):
    labels = read_labels(run)
    folder = run.parent / read_manifest(run).folder
    select(run, folder, count=len(labels), duplicates=True, ranking="distance")
    rows = [row for row in read_csv(run / "unsafe_set.csv") if row["path"] in labels]
    own = [row for row in rows if float(row["distance"]) < 1e-6]
    assert own
    assert all(int(row["cluster"]) == labels[row["path"]] for row in own)


def test_another_model_is_refused(run, improvement, tmp_path, model):
    document = json.loads((run / "run.json").read_text())
    document["weights"]["sha256"] = "0" * 64
    (run / "run.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"is another model than before .* Put the earlier file"):
        select(run, improvement)
    document["parameters"]["model"] = str(tmp_path / "gone.keras")
    (run / "run.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"gone\.keras cannot be read"):
        select(run, improvement)
    (run / "heatmaps" / "layer.npy").unlink()
    with pytest.raises(InputError, match=r"layer\.npy is not as the tool writes it"):
        select(run, improvement)


def test_new_images_cannot_be_explained_by_the_worst_output(run, improvement):
    document = json.loads((run / "run.json").read_text())
    document["chosen"]["explained"] = "the worst one"
    (run / "run.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"explains the worst output.*--explain OUTPUT"):
        select(run, improvement)


def test_selecting_runs_code_in_a_model_only_with_trust(run, tmp_path, improvement):
    keras, _ = import_keras()
    layers = keras.layers
    stack = [keras.Input((SIZE[1], SIZE[0], 3)), layers.Lambda(lambda x: x / 255, name="code")]
    dnn = keras.Sequential([*stack, layers.Flatten(), layers.Dense(2, "softmax")])
    dnn.save(tmp_path / "dnn.keras")
    document = json.loads((run / "run.json").read_text())
    document["parameters"] |= {"model": str(tmp_path / "dnn.keras"), "trust_model": True}
    document["weights"]["sha256"] = digest_of(tmp_path / "dnn.keras")
    (run / "run.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="'code' is a Lambda layer"):
        select(run, improvement)


def digest_of(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_labels_filled_in_while_new_images_are_compared_are_kept(run, improvement):
    select(run, improvement, count=6)
    path = read_csv(run / "unsafe_set.csv")[0]["path"]

    def slow(*arguments):
        placement = measure(*arguments)
        replace_cells(run / "unsafe_set.csv", "path", {path: {"label": "left"}})
        return placement

    select_unsafe_set(run, improvement, SelectionOptions(count=6), slow, progress=quiet)
    rows = {row["path"]: row["label"] for row in read_csv(run / "unsafe_set.csv")}
    assert rows[path] == "left"
    assert not (run / ".heatmaps-new").exists()


def test_labels_filled_in_while_clusters_are_found_keep_the_run(
    run, improvement, model, evaluation_run, monkeypatch
):
    select(run, improvement, count=6)
    path = read_csv(run / "unsafe_set.csv")[0]["path"]
    real = job.write_heatmaps

    def slow(*arguments, **options):
        replace_cells(run / "unsafe_set.csv", "path", {path: {"label": "left"}})
        return real(*arguments, **options)

    monkeypatch.setattr(job, "write_heatmaps", slow)
    with pytest.raises(InputError, match="has 1 label: they would be lost"):
        find(model, evaluation_run / "failures.txt", run, overwrite=True)
    assert {row["path"]: row["label"] for row in read_csv(run / "unsafe_set.csv")}[path] == "left"
    assert read_labels(run)


def test_no_job_on_a_run_of_heatmaps_removes_a_file_that_it_did_not_write(
    run, model, evaluation_run, improvement
):
    assert find_undeclared(run, "heatmaps") == set()
    foreign = write_foreign(run, "heatmaps")
    find(model, evaluation_run / "failures.txt", run, overwrite=True)
    assert read_files(run, foreign) == foreign
    (run / "passing.csv").unlink()  # explaining reads it: it would have to be a table
    del foreign["passing.csv"]
    select(run, improvement, count=6)
    explain_run(run, NO_TABLES, seed=None, progress=quiet)
    write_report(run)
    assert read_files(run, foreign) == foreign
    assert find_undeclared(run, "heatmaps") == {
        name for name in foreign if not name.startswith(".")
    }


def test_a_test_does_not_overwrite_clusters_nor_clusters_a_test(run, model, evaluation_run):
    images = run.parent / read_manifest(run).folder
    with pytest.raises(InputError, match="holds a run of heatmaps, which a run"):
        dnn_job.test_model(model, images, run, EvaluationOptions(), progress=quiet, overwrite=True)
    assert read_labels(run)
    with pytest.raises(InputError, match="need separate folders"):
        find(model, evaluation_run / "failures.txt", evaluation_run, overwrite=True)


@pytest.mark.parametrize("shape", [(1, 100), (4, 256), (37, 1024), (66, 200), (56, 56), (3, 4, 5)])
def test_pictures_show_all_of_a_heatmap(shape):
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(2, *shape)).astype(np.float32)
    flat = maps.sum(axis=3) if len(shape) == 3 else maps
    pictures = draw_maps(maps)
    height, width = pictures.shape[1:]
    assert max(height, width) <= 56
    high, wide = (-(-side // 56) for side in flat.shape[1:])
    for place in range(2):
        means = np.array(
            [
                [
                    flat[place, y * high : (y + 1) * high, x * wide : (x + 1) * wide].mean()
                    for x in range(width)
                ]
                for y in range(height)
            ]
        )
        large = np.quantile(np.abs(means), 0.99)
        assert np.abs(127 * np.clip(means / large, -1, 1) - pictures[place]).max() <= 0.51
