"""What the page serves of a run, and that it serves nothing else."""

import base64
import html
import io
import json
import tempfile
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.server.access import Access, middleware
from app.server.routes import ServedRuns
from app.server.views.clusters import LONGEST, describe, read_values
from pipelines.clusters.clusters import (
    VERDICTS,
    RootCauseClusters,
    centre_distances,
    map_places,
    read_clusters,
    read_labels,
    save_words,
    write_clusters,
)
from pipelines.clusters.explanation import (
    Column,
    Confusion,
    Explained,
    Explanation,
    Family,
    UnsafeCoverage,
    write_explanation,
    write_properties,
)
from pipelines.clusters.hints import Hint
from pipelines.clusters.parameter_findings import Finding
from pipelines.clusters.pictures import draw_clusters
from pipelines.data.images import check_image
from pipelines.data.parameters import Parameter, Problem, write_parameters
from pipelines.data.properties import PROPERTIES
from pipelines.runs import folder as run_folder
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv, replace_cells, write_csv, write_pairs
from pipelines.runs.manifest import Manifest, read_manifest, write_manifest
from pipelines.unsafe_set.cut import Candidates
from pipelines.unsafe_set.files import (
    Selection,
    read_candidates,
    read_selection,
    write_candidates,
    write_unsafe_set,
)

LABELS = (0, 1, 0, -1, 0, 1, 1, 0, -1, 0)
POLICY = "content-security-policy"
NAMES = ("=1+1.png", "<b>bold</b>.png", "-dash.png", *(f"eye {i}.png" for i in range(7)))


def manifest(**changes) -> Manifest:
    given = {"job": "cluster", "command": ["cluster"], "folder": "/images", "parameters": {}}
    return Manifest(**given | changes)


def content(run):
    """Return the bytes of every file of a run by its path."""
    files = [file for file in run.rglob("*") if file.is_file() and file.name != ".lock"]
    return {file.relative_to(run).as_posix(): file.read_bytes() for file in files}


def quiet(stage, done, total):
    """Listen to nothing."""


@pytest.fixture
def run(tmp_path, draw):
    """Write a run of ten images: clusters 0 and 1, noise, and a file that was rejected."""
    images, folder = tmp_path / "images", tmp_path / "the run"
    for seed, name in enumerate(NAMES):
        draw(images / name, seed)
    points = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    labels = np.array(LABELS, dtype=np.int32)
    paths = tuple(sorted(NAMES))
    clusters = RootCauseClusters(
        paths=paths,
        digests=tuple(check_image(images, path).digest for path in paths),
        labels=labels,
        core=labels == 0,
        silhouettes=np.linspace(-1, 1, 10).astype(np.float32),
        centre_distances=centre_distances(points, labels),
        places=map_places(points),
    )
    found = manifest(
        folder=str(images), notes=["a note"], result={"clusters": 2, "inspection_share": 0.8}
    )
    with run_folder.open_run(folder, found, quiet) as job:
        write_clusters(folder, clusters)
        write_pairs(folder / "rejected.txt", [("notes.txt", "not an image\tnor a table")])
        draw_clusters(images, clusters, folder, job.progress)
    return folder


HOSTILE = '=<img src=x onerror="1">, ${x}'
COLUMNS = (("yaw", "number"), ("turn", "angle"), (HOSTILE, "category"))


def explanation(**changes) -> Explanation:
    """Say something of every kind of the two clusters of `run`; the two are one family."""
    hint = Hint("brightness", 0.9, 0.1, 0.4, 3.0, "darker than the rest: mean brightness 0.1")
    finding = Finding("yaw", "number", 0.96, 0.4, 218, 190, "", "yaw: variance -96 %")
    said = {"hints": [hint], "parameters": [finding]}
    confusion = Confusion(label="TopLeft", prediction=HOSTILE, images=4)
    given = {
        "seed": 0,
        "parameter_files": ["/tables/a.csv"],
        "angles": ["turn"],
        "unsafe_values_file": "/tables/unsafe.csv",
        "images_with_parameters": 9,
        "parameters": [Column(name=name, kind=kind) for name, kind in COLUMNS],
        "clusters": {
            0: Explained(**said, confusions=[confusion], unsafe_values=[1]),
            1: Explained(),
        },
        "families": [Family(family=0, clusters=[0, 1], size=8, **said)],
        "unsafe_values": [
            UnsafeCoverage(parameter="yaw", value=160, side="near", images=2, clusters=[]),
            UnsafeCoverage(parameter="turn", value=22.5, side="at least", images=5, clusters=[0]),
        ],
        "problems": [Problem("a.csv", 4, "yaw", "expected a number, received 'x': left out")],
    }
    return Explanation(**given | changes)


PROPERTY_VALUES = np.arange(10.0 * len(PROPERTIES)).reshape(10, -1)
PROPERTY_VALUES[3, 0] = np.nan
PARAMETERS = (
    Parameter("yaw", "number", np.array([*np.linspace(-40.5, 40, 9), np.nan])),
    Parameter("turn", "angle", np.linspace(0, 359.75, 10)),
    Parameter(HOSTILE, "category", np.array([*[0, 1, 2] * 3, np.nan]), ("-1", "=1", "b")),
)


@pytest.fixture
def explained(run):
    """Explain the run the way a job does."""
    write_explanation(run, explanation())
    write_properties(run, sorted(NAMES), PROPERTY_VALUES)
    write_parameters(run / "parameters.csv", sorted(NAMES), PARAMETERS)
    return run


@pytest.fixture
def served():
    return ServedRuns(Access())


@pytest.fixture
def client(served):
    return TestClient(Starlette(routes=served.routes()), base_url="http://localhost:7860")


@pytest.fixture
def address(served, run):
    return f"/run/{served.key(run)}"


# --- the data -----------------------------------------------------------------------------------


def test_all_that_is_known_of_a_run_joins_on_the_path(run, client, address):
    data = client.get(f"{address}/data").json()
    images = data["images"]
    assert dict(zip(images["path"], images["cluster"], strict=True)) == read_labels(run)
    sizes = {row["cluster"]: row["size"] for row in data["clusters"]}
    assert sizes == Counter(images["cluster"])
    assert {row["central_image"] for row in data["clusters"]} < set(images["path"])
    assert data["rejected"] == [["notes.txt", "not an image\tnor a table"]]
    assert not set(images["path"]) & {path for path, _ in data["rejected"]}


def test_the_figures_are_those_of_the_files(run, client, address):
    images, clusters = client.get(f"{address}/data").json()["images"], read_clusters(run)
    assert images["path"] == list(clusters.paths) == sorted(NAMES)
    assert images["core"] == clusters.core.astype(int).tolist()
    for name, values in [
        ("silhouette", clusters.silhouettes),
        ("distance", clusters.centre_distances),
        ("x", clusters.places[:, 0]),
        ("y", clusters.places[:, 1]),
    ]:
        assert images[name] == pytest.approx(values.tolist(), abs=1e-6), name


def test_clusters_stand_largest_first_and_noise_last_whatever_their_order(run, client, address):
    header, *rows = (run / "clusters.csv").read_text().splitlines(keepends=True)
    (run / "clusters.csv").write_text("".join([header, *reversed(rows)]))
    clusters = client.get(f"{address}/data").json()["clusters"]
    assert [row["cluster"] for row in clusters] == [0, 1, -1]
    assert [row["size"] for row in clusters] == [5, 3, 2]
    assert [row["share"] for row in clusters] == [0.5, 0.3, 0.2]
    assert [row["cores"] for row in clusters] == [5, 0, 0]
    assert [row["silhouette"] is None for row in clusters] == [False, False, True]


def test_the_words_of_the_engineer_are_served_as_they_were_typed(run, client, address):
    note = 'dark, "mirrored"\n<script>alert(1)</script>'
    save_words(run, 1, {"name": "=sunglasses", "note": note})
    cluster = client.get(f"{address}/data").json()["clusters"][1]
    assert cluster["name"] == "=sunglasses"
    assert cluster["note"] == note


def test_the_manifest_tells_how_the_run_ended(run, client, address):
    answer = client.get(f"{address}/data")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    data = answer.json()
    assert data["run"] == str(run)
    assert data["name"] == "the run"
    assert data["folder"] == str(run.parent / "images")
    assert data["started"] == read_manifest(run).started_at
    assert (data["ended"], data["message"], data["notes"]) == ("finished", "", ["a note"])
    assert data["inspection_share"] == 0.8


def test_a_run_that_failed_has_no_clusters_but_its_rejected_files(tmp_path):
    with pytest.raises(InputError), run_folder.open_run(tmp_path / "run", manifest(), quiet) as job:
        write_pairs(job.folder / "rejected.txt", [("b.txt", "not an image"), ("a", "empty")])
        raise InputError("no usable image")
    data = describe(tmp_path / "run")
    assert (data["ended"], data["message"]) == ("failed", "no usable image")
    assert data["clusters"] == []
    assert set(map(tuple, data["images"].values())) == {()}
    assert data["rejected"] == [("a", "empty"), ("b.txt", "not an image")]


def test_a_run_that_failed_at_once_has_nothing(tmp_path):
    write_manifest(tmp_path, manifest(ended="failed", message="no weights"))
    data = describe(tmp_path)
    assert (data["clusters"], data["rejected"]) == ([], [])
    assert data["message"] == "no weights"


def test_a_run_that_nobody_writes_any_more_was_killed(tmp_path):
    with run_folder.open_run(tmp_path / "run", manifest(), quiet) as job:
        assert describe(job.folder)["ended"] == "running"
    write_manifest(tmp_path / "run", manifest())
    assert read_manifest(tmp_path / "run").ended == "running"
    assert describe(tmp_path / "run")["ended"] == "killed"


def test_a_run_that_a_job_is_writing_has_nothing_to_show_yet(run):
    write_manifest(run, manifest(ended="running"))
    with run_folder.hold(run):
        data = describe(run)
    assert data["ended"] == "running"
    assert (data["clusters"], data["rejected"]) == ([], [])
    assert set(map(tuple, data["images"].values())) == {()}


@pytest.mark.parametrize("ended", ["finished", "failed", "stopped"])
def test_a_run_stays_to_be_seen_while_words_are_saved_and_until_a_job_replaces_it(run, ended):
    write_manifest(run, manifest(ended=ended))
    with run_folder.hold(run):
        data = describe(run)
    assert data["ended"] == ended
    assert len(data["clusters"]) == 3


def test_tables_that_lead_out_of_the_run_are_not_read(tmp_path, run):
    for name in ("clusters.csv", "images.csv", "rejected.txt"):
        (run / name).rename(tmp_path / name)
        (run / name).symlink_to(tmp_path / name)
        with pytest.raises(InputError, match=f"{name} is not as the tool writes it"):
            describe(run)
        (run / name).unlink()
        (tmp_path / name).rename(run / name)
    describe(run)


# --- the explanation ----------------------------------------------------------------------------


def test_what_is_said_of_a_cluster_stands_with_it(explained, client, address):
    first, second, noise = client.get(f"{address}/data").json()["clusters"]
    assert first["hints"] == ["darker than the rest: mean brightness 0.1"]
    assert first["parameters"] == [
        {"parameter": "yaw", "words": "yaw: variance -96 %"},
    ]
    assert first["confusions"] == [{"label": "TopLeft", "prediction": HOSTILE, "images": 4}]
    assert first["unsafe_values"] == ["turn at least 22.5"]
    for silent in (second, noise):
        keys = ("hints", "parameters", "confusions", "unsafe_values")
        assert [silent[key] for key in keys] == [[]] * 4
    assert [row["family"] for row in (first, second, noise)] == [0, 0, None]


def test_what_is_said_of_the_run_stands_beside(explained, client, address):
    data = client.get(f"{address}/data").json()
    (family,) = data["families"]
    assert (family["family"], family["clusters"], family["size"]) == (0, [0, 1], 8)
    assert family["hints"] == ["darker than the rest: mean brightness 0.1"]
    assert family["parameters"][0]["words"] == "yaw: variance -96 %"
    assert data["family_share"] == 0.5
    assert data["unsafe_values"] == [
        {"words": "yaw near 160", "images": 2, "clusters": []},
        {"words": "turn at least 22.5", "images": 5, "clusters": [0]},
    ]
    (problem,) = data["problems"]
    assert problem["file"] == "a.csv"
    assert (problem["row"], problem["column"]) == (4, "yaw")


def test_every_column_can_colour_the_map(explained, client, address):
    data = client.get(f"{address}/data").json()
    found = data["colourings"]
    assert [(each["name"], each["kind"]) for each in found[:3]] == [*COLUMNS]
    assert [each["period"] for each in found[:3]] == [0, 360, 0]
    assert [each["name"] for each in found[3:]] == [each.figure for each in PROPERTIES]
    assert {each["name"]: each["period"] for each in found if each["kind"] == "angle"} == {
        "turn": 360,
        "dominant hue": 360,
        "edges at": 180,
    }
    for each in found:
        column = f"{address}/values/{each['source']}/{each['index']}"
        answer = client.get(column, params={"name": each["name"]})
        assert answer.headers["cache-control"] == "no-store"
        # As it was called before the run was explained anew.
        assert client.get(column, params={"name": "another"}).status_code == 404
        assert len(answer.json()["values"]) == len(data["images"]["path"])


def test_values_join_on_the_path_whatever_their_order(explained, client, address):
    def values(column):
        images = client.get(f"{address}/data").json()["images"]["path"]
        answer = client.get(f"{address}/values/{column}").json()
        return dict(zip(images, answer["values"], strict=True)), answer.get("categories")

    columns = ("parameters/0", "parameters/1", "parameters/2", "properties/0", "properties/15")
    before = [values(column) for column in columns]
    yaw, turn, category, brightness, aspect = (found for found, _ in before)
    names = sorted(NAMES)
    assert yaw == dict(zip(names, [*np.linspace(-40.5, 40, 9), None], strict=True))
    assert turn[names[9]] == 359.75
    assert before[2][1] == ["-1", "=1", "b"]
    assert list(category.values()) == [0, 1, 2, 0, 1, 2, 0, 1, 2, None]
    assert brightness[names[3]] is None
    assert aspect[names[9]] == 9 * len(PROPERTIES) + 15
    for file in ("parameters.csv", "properties.csv", "images.csv"):
        header, *rows = (explained / file).read_text().splitlines(keepends=True)
        (explained / file).write_text("".join([header, *reversed(rows)]))
    assert [values(column) for column in columns] == before


def test_an_image_that_a_table_does_not_have_is_unknown(explained):
    for file in ("parameters.csv", "properties.csv"):
        lines = (explained / file).read_text().splitlines(keepends=True)
        (explained / file).write_text("".join(lines[:3]))
    for source in ("parameters", "properties"):
        assert read_values(explained, source, 0)["values"][2:] == [None] * 8


def test_a_run_of_an_older_version_opens_as_before(run, client, address):
    header = ("cluster", "name", "note", "size", "share", "cores", "silhouette", "hint")
    rows = read_csv(run / "clusters.csv")
    rows[0]["hint"] = "darker than the rest; blurrier than the rest"
    keys = (*header, "central_image")
    write_csv(run / "clusters.csv", keys, [[row[key] for key in keys] for row in rows])
    data = client.get(f"{address}/data").json()
    first, second, _ = data["clusters"]
    assert first["hints"] == ["darker than the rest", "blurrier than the rest"]
    assert second["hints"] == []
    assert [first[key] for key in ("verdict", "severity", "likelihood")] == [""] * 3
    assert first["family"] is None
    assert (data["families"], data["family_share"], data["colourings"]) == ([], None, [])
    assert (data["unsafe_values"], data["problems"]) == ([], [])
    save_words(run, 0, {"verdict": "unclear"})
    assert describe(run)["clusters"][0]["verdict"] == "unclear"
    for source in ("parameters", "properties"):
        assert client.get(f"{address}/values/{source}/0").status_code == 404


@pytest.mark.parametrize(
    "tail",
    [
        f"properties/{len(PROPERTIES)}",
        "properties/-1",
        "properties/x",
        "properties/0/0",
        "parameters/3",
        "images/0",
        "../images/0",
        "properties/9999999999999999999999",
    ],
)
def test_columns_that_there_are_not_are_not_served(explained, client, address, tail):
    assert client.get(f"{address}/values/{tail}").status_code == 404


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "not json",
        "[]",
        "{}",
        '{"seed": 0, "schema_version": 2}',
        '{"seed": 0, "more": 1}',
        explanation(clusters={7: Explained()}).model_dump_json(),
        explanation(families=[Family(family=0, clusters=[0, 7], size=1)]).model_dump_json(),
        explanation(clusters={0: Explained(unsafe_values=[2])}).model_dump_json(),
        explanation(
            unsafe_values=[
                UnsafeCoverage(parameter="a", value=1, side="near", images=1, clusters=[7])
            ],
            clusters={},
        ).model_dump_json(),
        explanation().model_dump_json().replace("22.5", "Infinity"),
    ],
)
def test_a_damaged_explanation_is_named_with_what_to_do(explained, client, address, damaged):
    (explained / "explanation.json").write_text(damaged)
    answer = client.get(f"{address}/data")
    assert answer.status_code == 404
    assert "explanation.json" in answer.text
    assert "explain" in answer.text.split("explanation.json", 1)[1]


@pytest.mark.parametrize("families", [[[0, 1], [1]], [[0]], [[0, 1], []], [[0, 1, -1]]])
def test_what_the_report_refuses_does_not_open_either(explained, client, address, families):
    told = [Family(family=f, clusters=ids, size=8) for f, ids in enumerate(families)]
    write_explanation(explained, explanation(families=told))
    for name, status in (("data", 404), ("report.html", 409)):
        answer = client.get(f"{address}/{name}")
        assert answer.status_code == status
        assert "explanation.json is not as the tool writes it" in answer.text


def test_an_explanation_of_another_encoding_is_named(explained):
    (explained / "explanation.json").write_bytes(b'{"seed": \xff}')
    with pytest.raises(InputError, match=r"explanation\.json"):
        describe(explained)


@pytest.mark.parametrize(
    ("file", "source", "damage"),
    [
        ("properties.csv", "properties", lambda text: text.replace("brightness", "shine")),
        (
            "properties.csv",
            "properties",
            lambda text: text.replace(f",{len(PROPERTIES)}.0,", ",wide,"),
        ),
        ("properties.csv", "properties", lambda text: text.replace(".png,0.0,", ".png,inf,")),
        ("properties.csv", "properties", lambda text: text + "short\n"),
        ("parameters.csv", "parameters", lambda text: text.replace("yaw", "pitch")),
        ("parameters.csv", "parameters", lambda text: text.replace("-40.5", "left")),
        ("parameters.csv", "parameters", lambda text: text.replace("-40.5", "1e999")),
        ("parameters.csv", "parameters", lambda text: text + "short\n"),
        ("parameters.csv", "parameters", lambda text: text.replace("yaw,turn", "turn,yaw")),
    ],
)
def test_damaged_values_are_named_and_the_run_opens(
    explained, client, address, file, source, damage
):
    text = (explained / file).read_text()
    (explained / file).write_text(damage(text))
    assert (explained / file).read_text() != text
    answer = client.get(f"{address}/values/{source}/0")
    assert answer.status_code == 404
    assert file in answer.text
    assert client.get(f"{address}/data").status_code == 200


@pytest.mark.parametrize("name", ["explanation.json", "properties.csv", "parameters.csv"])
def test_an_explanation_that_leads_out_of_the_run_is_not_read(tmp_path, explained, name):
    (explained / name).rename(tmp_path / name)
    for target in (tmp_path / name, tmp_path / "nothing"):
        (explained / name).unlink(missing_ok=True)
        (explained / name).symlink_to(target)
        with pytest.raises(InputError, match=rf"{name} is not as the tool writes it"):
            describe(explained)
            read_values(explained, name.removesuffix(".csv"), 0)


# --- the report ---------------------------------------------------------------------------------


def test_the_report_is_a_page_that_may_ask_for_nothing(explained, run, client, address):
    answer = client.get(f"{address}/report.html")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("inline;")
    assert answer.headers["cache-control"] == "no-store"
    policy = dict(part.split(" ", 1) for part in answer.headers[POLICY].split("; "))
    assert policy == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": "'unsafe-inline'",
        "frame-ancestors": "'none'",
    }
    assert answer.content == (run / "report.html").read_bytes()


def test_the_policy_of_the_page_leaves_the_reports_own(explained, served, address):
    app = Starlette(routes=served.routes(), middleware=middleware(Access()))
    client = TestClient(app, base_url="http://localhost:7860")
    assert "script-src" in client.get(f"{address}/data").headers[POLICY]
    assert "script-src" not in client.get(f"{address}/report.html").headers[POLICY]


def test_the_report_has_the_words_as_they_are_by_now(explained, save, client, address):
    for name in ("<b>dim light</b>", "dim light, once more"):
        save(cluster=0, name=name, verdict="unclear", severity="S2")
        assert html.escape(name) in client.get(f"{address}/report.html").text


def test_a_report_while_a_job_is_writing_is_refused(explained, run, client, address):
    with run_folder.hold(run):
        answer = client.get(f"{address}/report.html")
    assert answer.status_code == 409
    assert "another job is writing" in answer.text
    assert not (run / "report.html").exists()


def test_a_report_of_a_damaged_run_is_refused_with_what_to_do(explained, run, client, address):
    (run / "explanation.json").write_text("{}")
    answer = client.get(f"{address}/report.html")
    assert answer.status_code == 409
    assert "explanation.json" in answer.text


def test_a_report_that_cannot_be_written_is_said(tmp_path, explained, run, client, address):
    (tmp_path / "precious").write_text("precious")
    (run / ".lock").unlink(missing_ok=True)
    (run / ".lock").symlink_to(tmp_path / "precious")
    assert client.get(f"{address}/report.html").status_code == 500
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_link_in_the_place_of_the_report_is_replaced(tmp_path, explained, run, client, address):
    (tmp_path / "precious").write_text("precious")
    (run / "report.html").symlink_to(tmp_path / "precious")
    assert "precious" not in client.get(f"{address}/report.html").text
    assert (tmp_path / "precious").read_text() == "precious"


# --- damaged runs -------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [None, "{}", "not json", '{"schema_version": 99}'])
def test_a_folder_that_is_no_run_is_named(tmp_path, text):
    (tmp_path / "my run").mkdir()
    if text is not None:
        (tmp_path / "my run" / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"my run is not a run folder: .*run\.json"):
        describe(tmp_path / "my run")


def no_column(text):
    return text.replace("core", "kern", 1)


def words_for_a_number(text):
    first, *rest = text.splitlines()
    return "\n".join([first, *(row.replace(",0.", ",zero.") for row in rest)]) + "\n"


def short_line(text):
    return text + "7\n"


def long_line(text):
    return text + "7," * 30 + "\n"


DAMAGES = [no_column, words_for_a_number, short_line, long_line]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["clusters.csv", "images.csv"])
def test_a_damaged_table_is_named_with_what_to_do(run, client, address, name, damage):
    text = (run / name).read_text()
    (run / name).write_text(damage(text))
    assert (run / name).read_text() != text
    with pytest.raises(InputError, match=rf"{name} is not as the tool writes it .*backup"):
        describe(run)
    answer = client.get(f"{address}/data")
    assert answer.status_code == 404
    assert f"{name} is not as the tool writes it" in answer.text


@pytest.mark.parametrize("name", ["clusters.csv", "images.csv"])
def test_a_table_of_another_encoding_is_named(run, name):
    (run / name).write_bytes((run / name).read_bytes() + b"\xff\xfe")
    with pytest.raises(InputError, match=f"{name} is not as the tool writes it"):
        describe(run)


@pytest.mark.parametrize("size", ["1.5", "", "five"])
def test_a_size_that_is_no_whole_number_is_named(run, size):
    replace_cells(run / "clusters.csv", "cluster", {"0": {"size": size}})
    with pytest.raises(InputError, match=r"clusters\.csv is not as .*ValueError"):
        describe(run)


def test_a_missing_table_is_named(run):
    (run / "clusters.csv").unlink()
    with pytest.raises(InputError, match=r"clusters\.csv is not as the tool writes it"):
        describe(run)


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    ("name", "key", "value", "column"),
    [
        *(
            ("images.csv", "path", "eye 3.png", column)
            for column in ("silhouette", "distance_to_centre", "x", "y")
        ),
        ("clusters.csv", "cluster", "1", "share"),
        ("clusters.csv", "cluster", "1", "silhouette"),
    ],
)
def test_what_is_no_number_of_json_is_named(run, client, address, name, key, value, column, number):
    text = (run / name).read_text()
    replace_cells(run / name, key, {value: {column: number}})
    (run / name).write_text((run / name).read_text().replace("'-inf", "-inf"))
    assert (run / name).read_text() != text
    answer = client.get(f"{address}/data")
    assert answer.status_code == 404
    assert f"{name} is not as the tool writes it" in answer.text


@pytest.mark.parametrize("content", [b"no tab\n", b"a\t\xff\n"])
def test_damaged_rejected_files_are_named(run, content):
    (run / "rejected.txt").write_bytes(content)
    with pytest.raises(InputError, match=r"rejected\.txt is not as the tool writes it"):
        describe(run)


# --- pictures -----------------------------------------------------------------------------------


def test_every_picture_of_the_data_is_served_with_its_fixed_type(run, client, address):
    data = client.get(f"{address}/data").json()
    gifs = [row["gif"] for row in data["clusters"]]
    assert gifs == ["gifs/cluster_000.gif", "gifs/cluster_001.gif", "gifs/noise.gif"]
    thumbnails = data["images"]["thumbnail"]
    assert len(set(thumbnails)) == 10
    for names, kind, cache in [
        (gifs, "image/gif", "no-cache"),
        (thumbnails, "image/jpeg", "private, max-age=86400"),
    ]:
        for name in names:
            answer = client.get(f"{address}/{name}")
            assert answer.content == (run / name).read_bytes()
            assert answer.headers["content-type"] == kind
            assert answer.headers["cache-control"] == cache


def test_the_type_is_that_of_the_name_and_not_of_the_content(run, client, address):
    name = next((run / "thumbnails").iterdir()).name
    (run / "thumbnails" / name).write_text("<html><script>alert(1)</script>")
    answer = client.get(f"{address}/thumbnails/{name}")
    assert answer.headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize(
    "name",
    [
        "page.html",
        "run.json",
        "status.json",
        "images.csv",
        "reduction.npz",
        "thumbnails/page.html",
        "thumbnails/0123456789abcdef01234567.html",
        "thumbnails/0123456789abcdef01234567.jpg.html",
        "thumbnails/0123456789ABCDEF01234567.jpg",
        "thumbnails/x0123456789abcdef01234567.jpg",
        "thumbnails/cluster_000.gif",
        "gifs/page.html",
        "gifs/cluster_000.gif.html",
        "gifs/cluster_000.gif%0A",
        "gifs/cluster_x.gif",
        "gifs/noise.jpg",
        "notes/cluster_000.gif",
        "download/cluster_000.gif",
        "download/page.html",
        "download/run.json",
        "download/gifs",
    ],
)
def test_what_the_tool_does_not_serve_is_not_served(run, client, address, name):
    file = run / name.replace("%0A", "\n").removeprefix("download/")
    file.parent.mkdir(exist_ok=True)
    if not file.exists():
        file.write_text("treasure")
    answer = client.get(f"{address}/{name}")
    assert answer.status_code == 404
    assert "treasure" not in answer.text


def test_links_that_leave_the_run_are_not_followed(tmp_path, run, client, address):
    (tmp_path / "outside").mkdir()
    for name in ("secret", "outside/cluster_007.gif"):
        (tmp_path / name).write_text("treasure")
    links = ["thumbnails/0123456789abcdef01234567.jpg", "gifs/cluster_009.gif", "labels.txt"]
    (run / "labels.txt").unlink()
    for name in links:
        (run / name).symlink_to(tmp_path / "secret")
    for name in ("thumbnails/0123456789abcdef01234567.jpg", "gifs/cluster_009.gif"):
        assert client.get(f"{address}/{name}").status_code == 404
    assert client.get(f"{address}/download/labels.txt").status_code == 404
    assert client.get(f"{address}/gifs.zip").status_code == 404
    (run / "gifs").rename(run / "before")
    (run / "gifs").symlink_to(tmp_path / "outside")
    assert client.get(f"{address}/gifs/cluster_007.gif").status_code == 404


def test_links_inside_the_run_are_followed(run, client, address):
    (run / "gifs" / "cluster_002.gif").symlink_to(run / "gifs" / "noise.gif")
    answer = client.get(f"{address}/gifs/cluster_002.gif")
    assert answer.content == (run / "gifs" / "noise.gif").read_bytes()


def test_a_run_that_is_reached_by_a_link_is_served(tmp_path, run, served, client):
    (tmp_path / "link").symlink_to(run)
    address = f"/run/{served.key(tmp_path / 'link')}"
    content = (run / "gifs" / "noise.gif").read_bytes()
    assert client.get(f"{address}/gifs/noise.gif").content == content


def test_a_folder_or_nothing_by_the_name_of_a_picture_is_not_served(run, client, address):
    (run / "gifs" / "cluster_003.gif").mkdir()
    for number in ("003", "004"):
        assert client.get(f"{address}/gifs/cluster_{number}.gif").status_code == 404


@pytest.mark.parametrize(
    "tail",
    [
        "gifs/%2e%2e%2fsecret",
        "gifs/%2e%2e/secret",
        "gifs/..%2f..%2fsecret",
        "gifs%2fcluster_000.gif%2f%2e%2e%2f%2e%2e%2fsecret",
        "%2e%2e/secret",
        "%2e%2e%2fsecret",
        "%2e%2e/cluster_000.gif",
        "%2e/cluster_000.gif",
        "download/%2e%2e%2fsecret",
        "download/..%5csecret",
        "download/%2fetc%2fpasswd",
        "thumbnails//0123456789abcdef01234567.jpg",
        "gifs/cluster_000.gif%00",
        "gifs/",
        "",
    ],
)
def test_tricks_with_paths_lead_nowhere(tmp_path, run, client, address, tail):
    for file in (tmp_path / "secret", run / "secret", tmp_path / "cluster_000.gif"):
        file.write_text("treasure")
    (run / "cluster_000.gif").write_text("treasure")
    answer = client.get(f"{address}/{tail}")
    assert answer.status_code == 404
    assert "treasure" not in answer.text


# --- keys ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tail",
    [
        "data",
        "values/properties/0",
        "report.html",
        "gifs.zip",
        "download/labels.txt",
        "gifs/noise.gif",
    ],
)
def test_an_unknown_key_is_answered_with_what_to_do(explained, run, client, address, tail):
    assert client.get(f"{address}/{tail}").status_code == 200
    for key in ("x", address.removeprefix("/run/")[:-1], run.name):
        answer = client.get(f"/run/{key}/{tail}")
        assert answer.status_code == 404
        assert "Reload the page" in answer.text


def test_a_folder_has_one_key_and_each_its_own(served, tmp_path):
    keys = [served.key(tmp_path / name) for name in ("a", "b", "a")]
    assert keys[0] == keys[2] != keys[1]
    assert [served.folder(key) for key in keys] == [tmp_path / name for name in "aba"]
    assert ServedRuns(Access()).key(tmp_path / "a") != keys[0]
    assert min(map(len, keys)) >= 20
    with pytest.raises(InputError, match="Reload"):
        served.folder("")


# --- downloads ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["labels.txt", "clusters.csv", "rejected.txt"])
def test_a_download_is_the_file_byte_for_byte(run, client, address, name):
    answer = client.get(f"{address}/download/{name}")
    assert answer.content == (run / name).read_bytes()
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["cache-control"] == "no-store"


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_the_zip_holds_every_gif_and_leaves_no_temporary_file(run, client, address, temporary):
    for name in ("page.html", "mine.gif", ".cluster_000.gif", ".cluster_000.gif.12.tmp"):
        (run / "gifs" / name).write_text("secret")
    answer = client.get(f"{address}/gifs.zip")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert "the%20run-gifs.zip" in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        held = {name: archive.read(name) for name in archive.namelist()}
    names = ("cluster_000.gif", "cluster_001.gif", "noise.gif")
    assert held == {name: (run / "gifs" / name).read_bytes() for name in names}
    assert list(temporary.iterdir()) == []


def test_the_zip_of_a_run_without_gifs_is_empty(tmp_path, served, client, temporary):
    write_manifest(tmp_path, manifest(ended="failed"))
    answer = client.get(f"/run/{served.key(tmp_path)}/gifs.zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == []
    assert list(temporary.iterdir()) == []


def test_a_zip_that_is_refused_leaves_no_temporary_file(tmp_path, run, client, address, temporary):
    (tmp_path / "secret").touch()
    (run / "gifs" / "cluster_009.gif").symlink_to(tmp_path / "secret")
    assert client.get(f"{address}/gifs.zip").status_code == 404
    assert list(temporary.iterdir()) == []


# --- the words of an engineer -------------------------------------------------------------------


@pytest.fixture
def save(run, client, address):
    """Return a function that sends words as the page does."""

    def send(**sent):
        started = read_manifest(run).started_at
        return client.post(f"{address}/words", content=json.dumps({"started": started} | sent))

    return send


def words(run):
    return [(row["name"], row["note"]) for row in read_csv(run / "clusters.csv")]


def test_words_are_saved_and_all_else_stays(run, save):
    others = content(run)
    answer = save(cluster=1, name="=sunglasses", note='dark, "mirrored"\nglass')
    assert (answer.status_code, answer.content) == (204, b"")
    assert words(run) == [("", ""), ("=sunglasses", 'dark, "mirrored"\nglass'), ("noise", "")]
    save(cluster=1, note="")
    save(cluster=-1, note="odd ones")
    assert words(run) == [("", ""), ("=sunglasses", ""), ("noise", "odd ones")]
    changed = content(run)
    assert changed.keys() == others.keys()
    assert {name for name in others if others[name] != changed[name]} == {"clusters.csv"}


def test_other_columns_are_no_words(run, save):
    before = read_csv(run / "clusters.csv")
    assert save(cluster=0, size="99", hint="x", cluster_="1").status_code == 204
    assert read_csv(run / "clusters.csv") == before


def test_words_of_any_length_and_half_characters_damage_nothing(run, save):
    free = {name: longest for name, longest in LONGEST.items() if name != "verdict"}
    long = {name: "=" * (longest + 1) for name, longest in free.items()}
    assert save(cluster=0, **long).status_code == 204
    row = read_csv(run / "clusters.csv")[0]
    assert {name: len(row[name]) for name in free} == free
    assert save(cluster=0, name="\ud83d", note="a\rb\0c").status_code == 204
    assert words(run)[0] == ("?", "a\nb\0c")
    assert len(describe(run)["clusters"]) == 3


def test_verdict_severity_and_likelihood_are_words_too(run, save, client, address):
    said = {"verdict": "several causes", "severity": "S3", "likelihood": "<E2>"}
    assert save(cluster=1, **said).status_code == 204
    cluster = client.get(f"{address}/data").json()["clusters"][1]
    assert {name: cluster[name] for name in said} == said
    assert save(cluster=1, verdict="").status_code == 204
    assert client.get(f"{address}/data").json()["clusters"][1]["verdict"] == ""


def test_a_verdict_that_is_none_is_refused(run, save, client, address):
    before = content(run)
    for verdict in ("perhaps", "Plausible cause", "=unclear", 7, None):
        answer = save(cluster=0, name="x", verdict=verdict)
        assert answer.status_code == 409, verdict
        assert "plausible cause, several causes, unclear" in answer.text
    assert content(run) == before
    assert client.get(f"{address}/data").json()["verdicts"] == list(VERDICTS)


def test_words_on_a_run_that_another_replaced_are_refused(run, save):
    before = content(run)
    answer = save(cluster=0, name="x", started="2020-01-01T00:00:00+00:00")
    assert answer.status_code == 409
    assert "holds another run by now" in answer.text
    assert content(run) == before


def test_words_on_an_unknown_cluster_are_refused(run, save):
    before = content(run)
    answer = save(cluster=7, name="x")
    assert answer.status_code == 409
    assert "clusters.csv has no cluster 7" in answer.text
    assert content(run) == before


def test_words_while_a_job_is_writing_are_refused(run, save):
    with run_folder.hold(run):
        answer = save(cluster=0, name="x")
    assert answer.status_code == 409
    assert "another job is writing" in answer.text
    assert words(run)[0] == ("", "")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no json",
        "[]",
        "5",
        "null",
        "{}",
        '{"cluster": 0}',
        '{"started": "x"}',
        '{"cluster": "x", "started": "x"}',
        '{"cluster": null, "started": "x"}',
        '{"cluster": 1e999, "started": "x"}',
        '{"cluster": 1.5, "started": "x"}',
        '{"cluster": true, "started": "x"}',
        b"\xff",
    ],
)
def test_what_are_no_words_is_refused(run, client, address, body):
    before = content(run)
    assert client.post(f"{address}/words", content=body).status_code == 400
    assert content(run) == before


def test_words_are_not_saved_by_a_link(run, client, address):
    before = content(run)
    started = read_manifest(run).started_at
    answer = client.get(f"{address}/words", params={"cluster": 0, "name": "x", "started": started})
    assert answer.status_code in {404, 405}
    assert content(run) == before


def test_words_do_not_reach_out_of_the_run(tmp_path, run, save):
    (tmp_path / "precious").write_text("precious")
    (run / ".lock").unlink(missing_ok=True)
    (run / ".lock").symlink_to(tmp_path / "precious")
    assert save(cluster=0, name="x").status_code == 500
    assert (tmp_path / "precious").read_text() == "precious"
    assert words(run)[0] == ("", "")


# --- the login ----------------------------------------------------------------------------------


def test_who_has_not_logged_in_is_served_nothing(explained, run, served, address, monkeypatch):
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    import gradio as gr
    from gradio.routes import App

    with gr.Blocks(analytics_enabled=False) as blocks:
        gr.HTML()
    blocks.auth = [("eva", "sesame")]
    blocks.config = blocks.get_config_file()
    page = App.create_app(
        blocks, app_kwargs={"routes": served.routes(), "middleware": middleware(Access())}
    )
    client = TestClient(page, base_url="http://localhost:7860")
    tails = ["data", "values/properties/0", "report.html", "gifs.zip", "download/labels.txt"]
    sent = {"started": read_manifest(run).started_at, "cluster": 0, "name": "x"}

    def statuses():
        got = [client.get(f"{address}/{tail}").status_code for tail in tails]
        return [*got, client.post(f"{address}/words", json=sent).status_code]

    assert statuses() == [401] * 6
    assert words(run)[0] == ("", "")
    client.post("/login", data={"username": "eva", "password": "open"})
    assert statuses() == [401] * 6
    client.cookies.set(f"access-token-{page.cookie_id}", "guessed")
    assert statuses() == [401] * 6
    client.cookies.clear()
    assert client.post("/login", data={"username": "eva", "password": "sesame"}).is_success
    assert statuses() == [200] * 5 + [204]
    assert words(run)[0] == ("x", "")


def test_nothing_is_written_into_the_run(explained, run, client, address):
    before = content(run)
    tails = ("data", "values/parameters/0", "gifs.zip", "download/labels.txt", "gifs/noise.gif")
    for tail in tails:
        assert client.get(f"{address}/{tail}").status_code == 200
        assert client.post(f"{address}/{tail}").status_code == 405
    assert content(run) == before


# --- the unsafe set -----------------------------------------------------------------------------


@pytest.fixture
def chosen(run, draw, tmp_path):
    """Select six new images of eight for the two clusters of the run."""
    new = tmp_path / "new"
    names = [f"{number} <i>new.png" for number in range(8)]
    for number, name in enumerate(names):
        draw(new / name, 100 + number)
    rng = np.random.default_rng(0)
    candidates = Candidates(
        paths=tuple(names),
        digests=tuple(check_image(new, name).digest for name in names),
        points=rng.normal(size=(8, 4)).astype(np.float32),
        distances=rng.uniform(0, 1, (8, 2)).astype(np.float32),
        reaches=np.array([0.6, 0.6], np.float32),
        scores=rng.normal(size=8).astype(np.float32),
        sizes=np.array([5, 3]),
    )
    selection = Selection(
        folder=str(new), images=8, rejected=0, inside=int(candidates.inside().sum()), count=6,
        counted="as asked for", allocation="uniform", ranking="contrast", same_distance=0.0,
        seed=0, measured=write_candidates(run, candidates),
    )  # fmt: skip
    write_unsafe_set(run, selection, candidates, {})
    return run


def recut_of(client, address, **sent):
    return client.post(f"{address}/recut", json=sent)


def test_the_unsafe_set_is_told_as_its_files_say(chosen, client, address):
    told = client.get(f"{address}/unsafe").json()
    rows = read_csv(chosen / "unsafe_set.csv")
    for name in ("path", "cluster", "distance"):
        assert [str(value) for value in told["rows"][name]] == [row[name] for row in rows]
    assert [str(int(is_out)) for is_out in told["rows"]["outside"]] == [r["outside"] for r in rows]
    assert (told["chosen"], told["images"], told["count"]) == (6, 8, 6)


def test_a_thumbnail_of_a_new_image_is_drawn_once_and_kept(chosen, client, address):
    thumbnail = client.get(f"{address}/unsafe").json()["rows"]["thumbnail"][0]
    kept = chosen / "thumbnails" / thumbnail.split("/")[1]
    assert not kept.exists()
    answer = client.get(f"{address}/new/{thumbnail}")
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size == (160, 120)
    assert kept.read_bytes() == answer.content
    for file in Path(read_selection(chosen).folder).iterdir():
        file.unlink()
    assert client.get(f"{address}/new/{thumbnail}").content == answer.content


def test_no_thumbnail_is_drawn_of_an_image_outside_of_the_roots(chosen, tmp_path):
    served = ServedRuns(Access(roots=(chosen,)))
    client = TestClient(Starlette(routes=served.routes()), base_url="http://localhost:7860")
    address = f"/run/{served.key(chosen)}"
    thumbnail = client.get(f"{address}/unsafe").json()["rows"]["thumbnail"][0]
    answer = client.get(f"{address}/new/{thumbnail}")
    assert answer.status_code == 404
    assert "outside of the folders that this page may use" in answer.text


def test_no_thumbnail_is_drawn_of_a_file_beside_the_improvement_set(chosen, client, address, draw):
    new = Path(read_selection(chosen).folder)
    secret = draw(new.parent / "secret.png", 777)
    candidates = read_candidates(chosen)
    digest = check_image(new.parent, "secret.png").digest
    crafted = replace(
        candidates,
        paths=("../secret.png", *candidates.paths[1:]),
        digests=(digest, *candidates.digests[1:]),
    )
    measured = write_candidates(chosen, crafted)
    text = read_selection(chosen).model_copy(update={"measured": measured}).model_dump_json()
    (chosen / "selection.json").write_text(text)
    assert secret.exists()
    answer = client.get(f"{address}/new/0/{digest[:24]}.jpg")
    assert answer.status_code == 404


def test_the_unsafe_set_is_changed_as_asked(chosen, client, address):
    before = client.get(f"{address}/unsafe").json()
    path = before["rows"]["path"][0]
    measured = before["measured"]
    told = recut_of(client, address, measured=measured, images=[[path, False]]).json()
    assert told == client.get(f"{address}/unsafe").json()
    assert path not in (chosen / "IS_filenames.txt").read_text().splitlines()
    assert told["rows"]["out"] == [True, *[False] * 5]
    recut_of(client, address, measured=measured, clusters=[[1, False]], images=[[path, True]])
    assert {row["cluster"] for row in read_csv(chosen / "unsafe_set.csv")} == {"0"}
    after = recut_of(client, address, measured=measured, clusters=[[1, True]], count=8).json()
    assert (after["chosen"], after["counted"]) == (8, "as asked for")
    assert recut_of(client, address, measured=measured, count=" 7 ").json()["chosen"] == 7


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        ({"count": 3}, 400, "measured"),
        ({"measured": "x", "count": 3}, 409, "another unsafe set by now"),
        ({"count": 0, "measured": None}, 409, "1 or more, received 0"),
        ({"count": [3], "measured": None}, 400, "expected a whole number"),
        ({"count": 2.5, "measured": None}, 400, "expected a whole number"),
        (
            {"count": "1,5", "measured": None},
            400,
            "Images to choose: expected a whole number, 1 or more, received '1,5'.",
        ),
        ({"count": True, "measured": None}, 400, "expected a whole number"),
        ({"images": [["../x", False]], "measured": None}, 409, "had no image '../x'"),
        ({"images": 7, "measured": None}, 400, "no change of an unsafe set"),
        ({"clusters": [[9, False]], "measured": None}, 409, "has no cluster 9"),
    ],
)
def test_a_change_that_means_nothing_changes_nothing(chosen, client, address, sent, status, words):
    if sent.get("measured", "") is None:
        sent = sent | {"measured": read_selection(chosen).measured}
    before = content(chosen)
    answer = recut_of(client, address, **sent)
    assert answer.status_code == status
    assert words in answer.text
    assert content(chosen) == before


def test_no_change_while_a_job_writes_into_the_run(chosen, client, address):
    measured = read_selection(chosen).measured
    with run_folder.hold(chosen):
        answer = recut_of(client, address, measured=measured, count=2)
    assert answer.status_code == 409
    assert "another job is writing" in answer.text


def test_a_run_without_an_unsafe_set_says_so(run, client, address):
    answer = client.get(f"{address}/unsafe")
    assert answer.status_code == 404
    assert "has no unsafe set: select one first" in answer.text
    assert client.get(f"{address}/new/0/{'0' * 24}.jpg").status_code == 404


# --- heatmaps, and two runs ---------------------------------------------------------------------


@pytest.fixture
def heated(run):
    """Give the run heatmaps of two layers, as a job of `heatmaps` does."""
    rng = np.random.default_rng(0)
    (run / "heatmaps").mkdir()
    header = ("layer", "shape", "clusters", "wicd", "seconds", "chosen")
    write_csv(run / "layers.csv", header, [("conv/1", "9 x 12 x 4", 2, 0.1, 0.01, 1)])
    rows = [("000.npy", "conv/1"), ("001.npy", "input")]
    write_csv(run / "heatmaps" / "pictures.csv", ("file", "layer"), rows)
    for name, _ in rows:
        np.save(run / "heatmaps" / name, rng.integers(-127, 128, (10, 3, 4), dtype=np.int8))
    return run


def test_heatmaps_come_most_central_first_with_their_mean(heated, client, address):
    assert client.get(f"{address}/layers").json()["shown"] == ["conv/1", "input"]
    told = client.get(f"{address}/heatmaps/0", params={"layer": "conv/1"}).json()
    clusters = read_clusters(heated)
    members = [place for place, label in enumerate(clusters.labels) if label == 0]
    members.sort(key=lambda place: clusters.centre_distances[place])
    assert told["paths"] == [clusters.paths[place] for place in members]
    data = np.frombuffer(base64.b64decode(told["data"]), np.int8)
    maps = data.reshape(len(members) + 1, told["height"], told["width"])
    kept = np.load(heated / "heatmaps" / "000.npy")
    assert np.array_equal(maps[:-1], kept[members])
    mean = kept[members].astype(float).mean(axis=0)
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
def test_what_is_not_there_is_said(heated, client, address, path, words):
    answer = client.get(f"{address}/{path}")
    assert answer.status_code == 404
    assert words in answer.text


def test_a_run_by_appearance_has_no_heatmaps(run, client, address):
    for path in ("layers", "heatmaps/0?layer=input"):
        answer = client.get(f"{address}/{path}")
        assert answer.status_code == 404
        assert "layers.csv is not as the tool writes it" in answer.text


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", None])
def test_damaged_heatmaps_are_named(heated, client, address, content):
    file = heated / "heatmaps" / "001.npy"
    if content is None:
        np.save(file, np.zeros((3, 3, 4), np.int8))  # of other images
    else:
        file.write_bytes(content)
    answer = client.get(f"{address}/heatmaps/0", params={"layer": "input"})
    assert answer.status_code == 404
    assert "001.npy is not as the tool writes it" in answer.text


def test_a_run_agrees_with_itself(run, served, client, address):
    key = address.split("/")[-1]
    told = client.get(f"{address}/compare/{key}").json()
    assert (told["images"], told["index"]) == (10, 1.0)
    assert told["rows"] == told["columns"] == [-1, 0, 1]
    assert told["table"] == [[2, 0, 0], [0, 5, 0], [0, 0, 3]]
