"""What the Clusters tab receives of the explanation, and the values that colour the map."""

import numpy as np
import pytest

from app.server.views.clusters import describe, read_values
from pipelines.clusters.clusters import (
    save_words,
)
from pipelines.clusters.explanation import (
    ClusterExplanation,
    Family,
    UnsafeCoverage,
    write_explanation,
)
from pipelines.data.properties import PROPERTIES
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv, write_csv
from tests.app.server.small_run import COLUMNS, HOSTILE, NAMES, explanation


def test_what_is_said_of_a_cluster_stands_with_it(explained_run, client, address):
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


def test_what_is_said_of_the_run_stands_beside(explained_run, client, address):
    view = client.get(f"{address}/data").json()
    (family,) = view["families"]
    assert (family["family"], family["clusters"], family["size"]) == (0, [0, 1], 8)
    assert family["hints"] == ["darker than the rest: mean brightness 0.1"]
    assert family["parameters"][0]["words"] == "yaw: variance -96 %"
    assert view["family_share"] == 0.5
    assert view["unsafe_values"] == [
        {"words": "yaw near 160", "images": 2, "clusters": []},
        {"words": "turn at least 22.5", "images": 5, "clusters": [0]},
    ]
    (problem,) = view["problems"]
    assert problem["file"] == "a.csv"
    assert (problem["row"], problem["column"]) == (4, "yaw")


def test_every_column_can_colour_the_map(explained_run, client, address):
    view = client.get(f"{address}/data").json()
    colourings = view["colourings"]
    assert [(colouring["name"], colouring["kind"]) for colouring in colourings[:3]] == [*COLUMNS]
    assert [colouring["period"] for colouring in colourings[:3]] == [0, 360, 0]
    assert [colouring["name"] for colouring in colourings[3:]] == [
        colouring.figure for colouring in PROPERTIES
    ]
    assert {
        colouring["name"]: colouring["period"]
        for colouring in colourings
        if colouring["kind"] == "angle"
    } == {
        "turn": 360,
        "dominant hue": 360,
        "edges at": 180,
    }
    for colouring in colourings:
        column = f"{address}/values/{colouring['source']}/{colouring['index']}"
        answer = client.get(column, params={"name": colouring["name"]})
        assert answer.headers["cache-control"] == "no-store"
        # As it was called before the run was explained anew.
        assert client.get(column, params={"name": "another"}).status_code == 404
        assert len(answer.json()["values"]) == len(view["images"]["path"])


def test_values_join_on_the_path_whatever_their_order(explained_run, client, address):
    def values(column):
        images = client.get(f"{address}/data").json()["images"]["path"]
        answer = client.get(f"{address}/values/{column}").json()
        return dict(zip(images, answer["values"], strict=True)), answer.get("categories")

    columns = ("parameters/0", "parameters/1", "parameters/2", "properties/0", "properties/15")
    before = [values(column) for column in columns]
    yaw, turn, category, brightness, aspect = (by_path for by_path, _ in before)
    names = sorted(NAMES)
    assert yaw == dict(zip(names, [*np.linspace(-40.5, 40, 9), None], strict=True))
    assert turn[names[9]] == 359.75
    assert before[2][1] == ["-1", "=1", "b"]
    assert list(category.values()) == [0, 1, 2, 0, 1, 2, 0, 1, 2, None]
    assert brightness[names[3]] is None
    assert aspect[names[9]] == 9 * len(PROPERTIES) + 15
    for file in ("parameters.csv", "properties.csv", "images.csv"):
        header, *rows = (explained_run / file).read_text().splitlines(keepends=True)
        (explained_run / file).write_text("".join([header, *reversed(rows)]))
    assert [values(column) for column in columns] == before


def test_an_image_that_a_table_does_not_have_is_unknown(explained_run):
    for file in ("parameters.csv", "properties.csv"):
        lines = (explained_run / file).read_text().splitlines(keepends=True)
        (explained_run / file).write_text("".join(lines[:3]))
    for source in ("parameters", "properties"):
        assert read_values(explained_run, source, 0)["values"][2:] == [None] * 8


def test_a_run_of_an_older_version_opens_as_before(run, client, address):
    header = ("cluster", "name", "note", "size", "share", "cores", "silhouette", "hint")
    rows = read_csv(run / "clusters.csv")
    rows[0]["hint"] = "darker than the rest; blurrier than the rest"
    keys = (*header, "central_image")
    write_csv(run / "clusters.csv", keys, [[row[key] for key in keys] for row in rows])
    view = client.get(f"{address}/data").json()
    first, second, _ = view["clusters"]
    assert first["hints"] == ["darker than the rest", "blurrier than the rest"]
    assert second["hints"] == []
    assert [first[key] for key in ("verdict", "severity", "likelihood")] == [""] * 3
    assert first["family"] is None
    assert (view["families"], view["family_share"], view["colourings"]) == ([], None, [])
    assert (view["unsafe_values"], view["problems"]) == ([], [])
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
def test_columns_that_there_are_not_are_not_served(explained_run, client, address, tail):
    assert client.get(f"{address}/values/{tail}").status_code == 404


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "{}",
        '{"seed": 0, "schema_version": 2}',
        '{"seed": 0, "more": 1}',
        explanation(clusters={7: ClusterExplanation()}).model_dump_json(),
        explanation(families=[Family(family=0, clusters=[0, 7], size=1)]).model_dump_json(),
        explanation(clusters={0: ClusterExplanation(unsafe_values=[2])}).model_dump_json(),
        explanation(
            unsafe_values=[
                UnsafeCoverage(parameter="a", value=1, side="near", images=1, clusters=[7])
            ],
            clusters={},
        ).model_dump_json(),
        explanation().model_dump_json().replace("22.5", "Infinity"),
    ],
)
def test_a_damaged_explanation_is_named_with_what_to_do(explained_run, client, address, text):
    (explained_run / "explanation.json").write_text(text)
    answer = client.get(f"{address}/data")
    assert answer.status_code == 404
    assert "explanation.json" in answer.text
    assert "explain" in answer.text.split("explanation.json", 1)[1]


@pytest.mark.parametrize("families", [[[0, 1], [1]], [[0]], [[0, 1], []], [[0, 1, -1]]])
def test_what_the_report_refuses_does_not_open_either(explained_run, client, address, families):
    rows = [Family(family=f, clusters=ids, size=8) for f, ids in enumerate(families)]
    write_explanation(explained_run, explanation(families=rows))
    for name, status in (("data", 404), ("report.html", 409)):
        answer = client.get(f"{address}/{name}")
        assert answer.status_code == status
        assert "explanation.json is not as the tool writes it" in answer.text


def test_an_explanation_of_another_encoding_is_named(explained_run):
    (explained_run / "explanation.json").write_bytes(b'{"seed": \xff}')
    with pytest.raises(InputError, match=r"explanation\.json"):
        describe(explained_run)


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
    explained_run, client, address, file, source, damage
):
    text = (explained_run / file).read_text()
    (explained_run / file).write_text(damage(text))
    assert (explained_run / file).read_text() != text
    answer = client.get(f"{address}/values/{source}/0")
    assert answer.status_code == 404
    assert file in answer.text
    assert client.get(f"{address}/data").status_code == 200


@pytest.mark.parametrize("name", ["explanation.json", "properties.csv", "parameters.csv"])
def test_an_explanation_that_leads_out_of_the_run_is_not_read(tmp_path, explained_run, name):
    (explained_run / name).rename(tmp_path / name)
    for target in (tmp_path / name, tmp_path / "nothing"):
        (explained_run / name).unlink(missing_ok=True)
        (explained_run / name).symlink_to(target)
        with pytest.raises(InputError, match=rf"{name} is not as the tool writes it"):
            describe(explained_run)
            read_values(explained_run, name.removesuffix(".csv"), 0)
