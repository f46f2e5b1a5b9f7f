"""Root cause clusters and their files."""

import numpy as np
import pytest

from pipelines.clusters.clusters import (
    VERDICTS,
    RootCauseClusters,
    compute_inspection_share,
    list_clusters,
    list_members,
    map_places,
    measure_centre_distances,
    read_clusters,
    read_labels,
    read_words,
    save_words,
    write_clusters,
)
from pipelines.clusters.results import collect_families, read_known_clusters
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv
from pipelines.runs.folder import lock_folder


@pytest.fixture
def points():
    return np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)


@pytest.fixture
def clusters(points):
    labels = np.array([0, 1, 0, -1, 0, 1, 1, 0, -1, 0, 0, 1], dtype=np.int32)
    return RootCauseClusters(
        paths=tuple(f"{'=' * (i == 0)}eye {i:02d}.png" for i in range(12)),
        digests=tuple(f"{i:064x}" for i in range(12)),
        labels=labels,
        core=labels == 0,
        silhouettes=np.linspace(-1, 1, 12).astype(np.float32),
        centre_distances=measure_centre_distances(points, labels),
        places=map_places(points),
    )


def test_distances_to_the_centre_naively(points, clusters):
    for i, label in enumerate(clusters.labels):
        same = [
            point for point, other in zip(points, clusters.labels, strict=True) if other == label
        ]
        centre = [sum(column) / len(same) for column in zip(*same, strict=True)]
        naive = sum((a - b) ** 2 for a, b in zip(points[i], centre, strict=True)) ** 0.5
        assert clusters.centre_distances[i] == pytest.approx(naive, rel=1e-5)


def test_members_stand_from_the_most_central_outwards(clusters):
    inside = list_members(clusters, 1)
    assert sorted(inside) == [1, 5, 6, 11]
    distances = clusters.centre_distances[inside]
    assert list(distances) == sorted(distances)


def test_clusters_are_listed_noise_last(clusters):
    assert list_clusters(clusters) == [0, 1, -1]


def test_the_map_of_points_with_one_dimension():
    places = map_places(np.array([[3.0], [4.0]], dtype=np.float32))
    assert places.tolist() == [[3, 0], [4, 0]]


def test_five_images_of_each_cluster_are_inspected_and_no_noise():
    labels = np.array([0] * 8 + [1] * 3 + [-1] * 5, dtype=np.int32)
    assert compute_inspection_share(labels) == pytest.approx((5 + 3) / 16)


def test_every_image_is_in_the_files_once_with_its_label(tmp_path, clusters):
    write_clusters(tmp_path, clusters)
    expected = dict(zip(clusters.paths, clusters.labels.tolist(), strict=True))
    assert read_labels(tmp_path) == expected
    rows = read_csv(tmp_path / "images.csv")
    assert {row["path"]: int(row["cluster"]) for row in rows} == expected
    sizes = {row["cluster"]: int(row["size"]) for row in read_csv(tmp_path / "clusters.csv")}
    assert sizes == {"0": 6, "1": 4, "-1": 2}


def test_the_figures_of_a_cluster(tmp_path, clusters):
    write_clusters(tmp_path, clusters)
    first = read_csv(tmp_path / "clusters.csv")[0]
    assert float(first["share"]) == 0.5
    assert int(first["cores"]) == 6
    silhouettes = [clusters.silhouettes[i] for i in range(12) if clusters.labels[i] == 0]
    assert float(first["silhouette"]) == pytest.approx(sum(silhouettes) / 6, abs=1e-4)
    assert read_csv(tmp_path / "clusters.csv")[-1]["silhouette"] == ""  # noise has none
    assert first["central_image"] == clusters.paths[list_members(clusters, 0)[0]]


def test_clusters_come_back_from_their_files(tmp_path, clusters):
    write_clusters(tmp_path, clusters)
    back = read_clusters(tmp_path)
    assert back.paths == clusters.paths
    assert back.digests == clusters.digests
    for name in ("labels", "core"):
        assert np.array_equal(getattr(back, name), getattr(clusters, name))
    for name in ("silhouettes", "centre_distances", "places"):
        assert getattr(back, name) == pytest.approx(getattr(clusters, name), abs=1e-4)
        assert getattr(back, name).dtype == np.float32


# --- the words of an engineer -------------------------------------------------------------------


@pytest.mark.parametrize("cluster", [0, 1, -1])
def test_words_come_back_and_the_rest_of_the_bytes_stays(tmp_path, clusters, cluster):
    write_clusters(tmp_path, clusters)
    others = {name: (tmp_path / name).read_bytes() for name in ("labels.txt", "images.csv")}
    before = read_csv(tmp_path / "clusters.csv")
    lines = (tmp_path / "clusters.csv").read_text().split("\n")
    save_words(tmp_path, cluster, {"name": "sunglasses", "note": "dark glass"})
    place = [row["cluster"] for row in before].index(str(cluster))
    before[place] |= {"name": "sunglasses", "note": "dark glass"}
    assert read_csv(tmp_path / "clusters.csv") == before
    first, _, _, *rest = lines[place + 1].split(",")
    lines[place + 1] = ",".join([first, "sunglasses", "dark glass", *rest])
    assert (tmp_path / "clusters.csv").read_text() == "\n".join(lines)
    assert {name: (tmp_path / name).read_bytes() for name in others} == others


@pytest.mark.parametrize("words", [{"name": "sunglasses"}, {"note": "dark glass"}, {}])
def test_words_that_are_left_out_stay(tmp_path, clusters, words):
    write_clusters(tmp_path, clusters)
    before = {"name": "dim light", "note": "no lamp"}
    save_words(tmp_path, 1, before)
    save_words(tmp_path, 1, words)
    row = read_csv(tmp_path / "clusters.csv")[1]
    assert {name: row[name] for name in before} == before | words


def test_words_of_many_clusters_and_words_taken_back(tmp_path, clusters):
    write_clusters(tmp_path, clusters)
    before = (tmp_path / "clusters.csv").read_bytes()
    save_words(tmp_path, 0, {"name": "dim, dark", "note": 'a "lamp"\nis missing'})
    save_words(tmp_path, 1, {"name": "turned", "note": ""})
    rows = {
        row["cluster"]: (row["name"], row["note"]) for row in read_csv(tmp_path / "clusters.csv")
    }
    assert rows == {
        "0": ("dim, dark", 'a "lamp"\nis missing'),
        "1": ("turned", ""),
        "-1": ("noise", ""),
    }
    save_words(tmp_path, 0, {"name": "", "note": ""})
    save_words(tmp_path, 1, {"name": "", "note": ""})
    assert (tmp_path / "clusters.csv").read_bytes() == before


@pytest.mark.parametrize("text", ["=cmd|x", "+1", "-1", "@a", "'quoted"])
def test_words_are_no_formula_and_come_back(tmp_path, clusters, text):
    write_clusters(tmp_path, clusters)
    save_words(tmp_path, 1, {"name": text, "note": text})
    row = read_csv(tmp_path / "clusters.csv")[1]
    assert (row["name"], row["note"]) == (text, text)
    line = (tmp_path / "clusters.csv").read_text().split("\n")[2]
    assert line.startswith(f"1,'{text},'{text},")


def test_no_word_is_saved_while_another_holds_the_folder(tmp_path, clusters):
    write_clusters(tmp_path, clusters)
    before = (tmp_path / "clusters.csv").read_bytes()
    with lock_folder(tmp_path), pytest.raises(InputError, match="another job is writing"):
        save_words(tmp_path, 0, {"name": "dim light", "note": ""})
    assert (tmp_path / "clusters.csv").read_bytes() == before
    save_words(tmp_path, 0, {"name": "dim light", "note": ""})
    assert read_csv(tmp_path / "clusters.csv")[0]["name"] == "dim light"


@pytest.mark.parametrize("cluster", [2, -2, 10])
def test_words_of_an_unknown_cluster_are_refused_and_the_folder_is_free(
    tmp_path, clusters, cluster
):
    write_clusters(tmp_path, clusters)
    before = (tmp_path / "clusters.csv").read_bytes()
    with pytest.raises(InputError, match=rf"clusters\.csv has no cluster {cluster}; .* replaced"):
        save_words(tmp_path, cluster, {"name": "dim light", "note": ""})
    assert (tmp_path / "clusters.csv").read_bytes() == before
    lock_folder(tmp_path).close()


def test_words_for_a_table_that_is_empty_are_refused(tmp_path):
    (tmp_path / "clusters.csv").touch()
    with pytest.raises(InputError, match="has no cluster 0"):
        save_words(tmp_path, 0, {"name": "dim light", "note": ""})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"verdict": "maybe"}, "verdict: expected plausible cause, several causes, unclear"),
        (
            {"size": "3"},
            "expected the columns name, note, verdict, severity, likelihood, received 'size'",
        ),
    ],
)
def test_words_that_are_no_words_are_refused(tmp_path, clusters, words, message):
    write_clusters(tmp_path, clusters)
    before = (tmp_path / "clusters.csv").read_bytes()
    with pytest.raises(InputError, match=message):
        save_words(tmp_path, 0, words)
    assert (tmp_path / "clusters.csv").read_bytes() == before


def test_a_verdict_with_severity_and_likelihood_comes_back(tmp_path, clusters):
    write_clusters(tmp_path, clusters)
    for verdict in (*VERDICTS, ""):
        words = {"verdict": verdict, "severity": "S2", "likelihood": "E4"}
        save_words(tmp_path, 1, words)
        row = read_csv(tmp_path / "clusters.csv")[1]
        assert {name: row[name] for name in words} == words
    assert read_words(tmp_path) == {1: {"severity": "S2", "likelihood": "E4"}}


def test_what_is_said_of_clusters_stands_in_their_rows(tmp_path, clusters):
    cells = {0: {"hint": "darker, much: 0.1; noisier", "family": 1}, 1: {"family": 0}}
    cells[-1] = {"note": "odd"}
    write_clusters(tmp_path, clusters, cells)
    first, second, noise = read_csv(tmp_path / "clusters.csv")
    assert (first["hint"], first["family"], second["hint"]) == (cells[0]["hint"], "1", "")
    assert (noise["note"], noise["name"]) == ("odd", "noise")
    assert collect_families(read_known_clusters(tmp_path)[1]) == {0: 1, 1: 0}
    write_clusters(tmp_path, clusters, {0: {"family": 1}})  # emptied by hand: no families
    assert collect_families(read_known_clusters(tmp_path)[1]) == {}


@pytest.mark.parametrize("name", ["clusters.csv", "folder"])
def test_words_for_a_run_that_is_gone_are_an_error_of_the_system(tmp_path, name):
    with pytest.raises(OSError, match="No such file"):
        save_words(tmp_path if name == "clusters.csv" else tmp_path / "folder", 0, {"name": "dim"})
