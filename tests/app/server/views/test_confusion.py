"""What the page receives of an inspection."""

import base64
import json

import numpy as np
import pytest

from app.server.views.confusion import describe_inspection, describe_pair
from pipelines.deepinspect.job import Options, inspect_model
from pipelines.deepinspect.results import read_matrices
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv, replace_cells
from pipelines.runs.manifest import read_manifest, write_manifest
from tests.mutations import edit, kinds_of_places
from tests.pipelines.deepinspect.colours import NAMES, draw, quiet, save_model
from tests.small_runs import write_small_inspection


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unlabelled")
    model, images = save_model(folder / "dnn.keras"), draw(folder / "images", labelled=False)
    inspect_model(model, images, folder / "run", Options(), progress=quiet)
    return folder / "run"


def test_matrices_are_told_in_levels(unlabelled):
    view = json.loads(json.dumps(describe_inspection(unlabelled)))
    assert sorted(view["order"]) == list(range(len(NAMES)))
    for kind, matrix in read_matrices(unlabelled).items():
        coded = view["matrices"][kind]
        levels = np.frombuffer(base64.b64decode(coded["data"]), np.uint8).reshape(5, 5)
        assert (np.diag(levels) == 0).all()
        step = (coded["high"] - coded["low"]) / 254
        for a in range(5):
            for b in range(5):
                if a != b:
                    value = coded["low"] + (levels[a, b] - 1) * step
                    assert abs(value - matrix[a, b]) <= step
    assert view["evaluation"] is None
    for kind, name in (("confusion", "confusion.csv"), ("bias", "bias.csv")):
        assert [row["rank"] for row in view["pairs"][kind]] == [
            row["rank"] for row in read_csv(unlabelled / name)
        ]
        for row in view["pairs"][kind]:
            assert (str(row["a"]), str(row["b"])) == (row["class_a"], row["class_b"])


def test_without_labels_a_pair_shows_what_is_nearly_a_tie(unlabelled):
    view = describe_pair(unlabelled, 2, 3)
    assert view["count"] is None
    assert view["list"] is None
    rows = {row["path"]: row for row in read_csv(unlabelled / "predictions.csv")}
    margins = [float(rows[image["path"]]["margin"]) for image in view["confused"]]
    assert margins == sorted(margins)
    for image in view["confused"]:
        row = rows[image["path"]]
        assert {row["predicted"], row["runner_up"]} == {"2", "3"}
    assert all(image["predicted"] == "2" for image in view["first"])
    assert view["figures"]["confusion"] == read_matrices(unlabelled)["confusion"][2, 3]


def test_images_without_a_label_are_not_called_right(tmp_path):
    """Of each class the last few images alone have labels."""
    images = draw(tmp_path / "images", labelled=False, per_class=30)
    names = {
        f"{name}{number}.png": place for place, name in enumerate(NAMES) for number in (28, 29)
    }
    rows = [f"{name},{place}" for name, place in names.items()]
    (images / "labels.csv").write_text("\n".join(["path,label", *rows]))
    model = save_model(tmp_path / "dnn.keras")
    inspect_model(model, images, tmp_path / "run", Options(), progress=quiet)
    view = describe_pair(tmp_path / "run", 0, 1)
    for side, name in (("first", "blue"), ("second", "green")):
        assert [image["path"] for image in view[side]] == [f"{name}28.png", f"{name}29.png"]


@pytest.mark.parametrize(("a", "b"), [(0, 9), (1, 1)])
def test_a_pair_that_there_is_not(unlabelled, a, b):
    with pytest.raises(InputError, match="has no pair of classes"):
        describe_pair(unlabelled, a, b)


def test_another_run_is_no_inspection(unlabelled, tmp_path):
    with pytest.raises(InputError, match="holds no inspection"):
        describe_inspection(tmp_path)
    manifest = read_manifest(unlabelled)
    manifest.job = "test"
    write_manifest(tmp_path, manifest)
    with pytest.raises(InputError, match=r"finished inspection: its job, test, finished\. Name"):
        describe_inspection(tmp_path)


def copy(run, folder):
    for file in run.iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())


def test_tables_that_a_spreadsheet_saved_are_read(unlabelled, tmp_path):
    copy(unlabelled, tmp_path)
    for name in ("confusion.csv", "bias.csv", "classes.csv", "predictions.csv"):
        text = (unlabelled / name).read_text().replace(",", ";").replace("\n", "\r\n")
        (tmp_path / name).write_bytes(f"\ufeff{text}".encode())
    assert describe_inspection(tmp_path) == {
        **describe_inspection(unlabelled), "name": tmp_path.name,
    }  # fmt: skip
    (tmp_path / "bias.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"bias\.csv is not as the tool .*no column above_one_sd"):
        describe_inspection(tmp_path)


def test_a_damaged_file_is_named(unlabelled, tmp_path):
    copy(unlabelled, tmp_path)
    (tmp_path / "activation.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"activation\.npz is not as the tool writes it.*inspect"):
        describe_inspection(tmp_path)


@pytest.mark.parametrize(
    ("name", "damage", "what"),
    [
        ("predictions.csv", lambda text: text.replace("margin", "gap"), "no column margin"),
        ("predictions.csv", lambda text: text.replace("runner_up", "next"), "no column runner_up"),
        ("evaluation.json", lambda text: "[]", "should be an object"),
        ("classes.csv", lambda text: text.rsplit("\n", 2)[0] + "\n", "expected 5 classes"),
    ],
)
def test_what_the_page_does_not_find_in_a_file_is_named(unlabelled, tmp_path, name, damage, what):
    copy(unlabelled, tmp_path)
    text = (tmp_path / name).read_text() if (tmp_path / name).exists() else ""
    (tmp_path / name).write_text(damage(text))
    with pytest.raises(InputError, match=rf"{name} is not as the tool writes it.*{what}"):
        describe_inspection(tmp_path)
        describe_pair(tmp_path, 0, 1)


@pytest.fixture
def exported(tmp_path):
    return write_small_inspection(tmp_path / "run")


def test_every_entry_of_the_evaluation_is_checked(exported):
    file = exported / "evaluation.json"
    content = file.read_bytes()
    view = json.loads(json.dumps(describe_inspection(exported)))
    assert view["evaluation"] == json.loads(content)
    for place in kinds_of_places(json.loads(content)):
        damages = [edit(content, place, {"a": 1})]
        if isinstance(place[-1], str):
            damages.append(edit(content, place, gone=True))
        for damaged in damages:
            file.write_bytes(damaged)
            with pytest.raises(InputError, match=r"evaluation\.json is not as the tool") as error:
                describe_inspection(exported)
            assert place[0] in str(error.value)


@pytest.mark.parametrize(
    ("name", "key", "row", "column", "cell"),
    [
        ("confusion.csv", "rank", "1", "napvd", "text"),
        ("confusion.csv", "rank", "1", "napvd", "nan"),
        ("confusion.csv", "rank", "1", "rank", "first"),
        ("confusion.csv", "rank", "1", "images", "inf"),
        ("confusion.csv", "rank", "1", "class_b", "nobody"),
        ("bias.csv", "rank", "2", "average_bias", "1e999"),
        ("bias.csv", "rank", "2", "class_a", ""),
        ("classes.csv", "class", "stop", "x", "nan"),
        ("classes.csv", "class", "stop", "y", "-inf"),
        ("classes.csv", "class", "stop", "predicted", "some"),
        ("confusion.csv", "rank", "2", "rank", "1"),
        ("confusion.csv", "rank", "2", "below_one_sd", "yes"),
    ],
)
def test_a_figure_that_is_none_and_an_unknown_class_are_refused(
    exported, name, key, row, column, cell
):
    replace_cells(exported / name, key, {row: {column: cell}})
    with pytest.raises(InputError, match=rf"{name} is not as the tool writes it"):
        describe_inspection(exported)


@pytest.mark.parametrize(
    ("name", "keep"),
    [("classes.csv", 1), ("classes.csv", 4), ("confusion.csv", 3), ("bias.csv", 1)],
)
def test_rows_that_are_missing_are_noticed(exported, name, keep):
    lines = (exported / name).read_text().splitlines(keepends=True)
    (exported / name).write_text("".join(lines[:keep]))
    with pytest.raises(InputError, match=rf"{name} is not as the tool writes it .*expected \d"):
        describe_inspection(exported)


def test_predictions_that_are_missing_are_noticed(unlabelled, tmp_path):
    copy(unlabelled, tmp_path)
    lines = (tmp_path / "predictions.csv").read_text().splitlines(keepends=True)
    for kept in ([*lines[:-1]], [*lines[:-1], lines[1]], lines[:1]):
        (tmp_path / "predictions.csv").write_text("".join(kept))
        with pytest.raises(InputError, match=r"predictions\.csv is not .*different images"):
            describe_pair(tmp_path, 0, 1)
