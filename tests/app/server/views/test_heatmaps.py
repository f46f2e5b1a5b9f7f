"""What the Heatmaps tab receives of one run, and of two runs that it compares."""

import base64

import numpy as np
import pytest

from pipelines.clusters.clusters import (
    read_clusters,
)
from pipelines.runs.files import replace_cells, write_csv
from tests.edited import edit_part


@pytest.fixture
def heatmap_run(run):
    """Give the run heatmaps of two layers, as a job of `heatmaps` does."""
    rng = np.random.default_rng(0)
    (run / "heatmaps").mkdir()
    header = ("layer", "shape", "clusters", "wicd", "seconds", "chosen")
    write_csv(run / "layers.csv", header, [("conv/1", "9 x 12 x 4", 2, 0.1, 0.01, 1)])
    rows = [("000.npy", "conv/1"), ("001.npy", "input")]
    write_csv(run / "heatmaps" / "pictures.csv", ("file", "layer"), rows)
    for name, _ in rows:
        np.save(run / "heatmaps" / name, rng.integers(-127, 128, (10, 3, 4), dtype=np.int8))
    edit_part(run, "parameters", model="/dnn.keras", rule="z+", batch_size=16)
    return run


def test_heatmaps_come_most_central_first_with_their_mean(heatmap_run, client, address):
    assert client.get(f"{address}/layers").json()["shown"] == ["conv/1", "input"]
    view = client.get(f"{address}/heatmaps/0", params={"layer": "conv/1"}).json()
    clusters = read_clusters(heatmap_run)
    members = [place for place, label in enumerate(clusters.labels) if label == 0]
    members.sort(key=lambda place: clusters.centre_distances[place])
    assert view["paths"] == [clusters.paths[place] for place in members]
    levels = np.frombuffer(base64.b64decode(view["data"]), np.int8)
    maps = levels.reshape(len(members) + 1, view["height"], view["width"])
    heatmaps = np.load(heatmap_run / "heatmaps" / "000.npy")
    assert np.array_equal(maps[:-1], heatmaps[members])
    mean = heatmaps[members].astype(float).mean(axis=0)
    assert np.abs(127 * mean / np.abs(mean).max() - maps[-1]).max() <= 0.5


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("heatmaps/0?layer=nose", "no heatmaps of 'nose'"),
        ("heatmaps/7?layer=input", "no cluster 7"),
        ("heatmaps/0", "no heatmaps of ''"),
        ("confusion.png", "has no confusion.png"),
        ("compare/unknown", "server was restarted"),
    ],
)
def test_what_is_not_there_is_said(heatmap_run, client, address, path, words):
    answer = client.get(f"{address}/{path}")
    assert answer.status_code == 404
    assert words in answer.text


def test_a_run_by_appearance_has_no_heatmaps(run, client, address):
    for path in ("layers", "heatmaps/0?layer=input"):
        answer = client.get(f"{address}/{path}")
        assert answer.status_code == 404
        assert "layers.csv is not as the tool writes it" in answer.text


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", None])
def test_damaged_heatmaps_are_named(heatmap_run, client, address, content):
    file = heatmap_run / "heatmaps" / "001.npy"
    if content is None:
        np.save(file, np.zeros((3, 3, 4), np.int8))  # of other images
    else:
        file.write_bytes(content)
    answer = client.get(f"{address}/heatmaps/0", params={"layer": "input"})
    assert answer.status_code == 404
    assert "001.npy is not as the tool writes it" in answer.text


def test_a_run_agrees_with_itself(run, served, client, address):
    key = address.split("/")[-1]
    view = client.get(f"{address}/compare/{key}").json()
    assert (view["images"], view["index"]) == (10, 1.0)
    assert view["rows"] == view["columns"] == [-1, 0, 1]
    assert view["table"] == [[2, 0, 0], [0, 5, 0], [0, 0, 3]]


@pytest.mark.parametrize(
    ("column", "cell"),
    [("clusters", "many"), ("wicd", "nan"), ("seconds", "inf"), ("chosen", "0")],
)
def test_a_table_of_layers_that_cannot_be_shown_is_refused(
    heatmap_run, client, address, column, cell
):
    replace_cells(heatmap_run / "layers.csv", "layer", {"conv/1": {column: cell}})
    answer = client.get(f"{address}/layers")
    assert answer.status_code == 404
    assert "layers.csv is not as the tool writes it" in answer.text
