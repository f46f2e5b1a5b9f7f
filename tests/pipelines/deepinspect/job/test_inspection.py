"""From a model and images to the run folder of an inspection."""

import csv
import json
import shutil
import warnings

import numpy as np
import pytest
from PIL import Image

from pipelines.data.image_lists import list_images
from pipelines.data.pair_lists import describe_source
from pipelines.deepinspect.bias import average_bias
from pipelines.deepinspect.findings import find_pairs
from pipelines.deepinspect.inspection import compare_thresholds
from pipelines.deepinspect.job import Options, inspect_model
from pipelines.deepinspect.results import read_inspection, read_matrices, read_top_pairs
from pipelines.dnn.keras import import_keras
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv, read_pairs
from pipelines.runs.manifest import Manifest
from tests.foreign import find_undeclared, read_files, write_foreign
from tests.pipelines.deepinspect.colours import (
    CENTRES,
    NAMES,
    PER_CLASS,
    draw,
    naive_probabilities,
    quiet,
    save_model,
)


def test_the_matrix_is_that_of_the_definition(inspection, model, images):
    out, _ = inspection
    with np.load(out / "activation.npz", allow_pickle=False) as arrays:
        assert arrays["classes"].tolist() == list(NAMES)
        assert arrays["layers"].tolist() == ["maps", "end"]
        assert arrays["neurons"].tolist() == [9, 5]
        assert arrays["thresholds"].tolist() == [0.5, 0.3]
        for place, threshold in enumerate((0.5, 0.3)):
            expected = naive_probabilities(model, images, threshold)
            np.testing.assert_allclose(arrays[f"p_{place}"], expected, atol=1e-6)
        first = arrays["p_0"].astype(float)
        for a in range(5):
            for b in range(5):
                distance = np.sqrt(((first[:, a] - first[:, b]) ** 2).sum())
                assert arrays["distances"][a, b] == pytest.approx(distance)


def test_tables_rank_all_pairs(inspection):
    out, manifest = inspection
    matrices = read_matrices(out)
    places = {name: place for place, name in enumerate(NAMES)}
    rows = read_csv(out / "confusion.csv")
    assert [int(row["rank"]) for row in rows] == list(range(1, 11))
    values = [float(row["napvd"]) for row in rows]
    assert values == sorted(values)
    for row in rows:
        distance = matrices["confusion"][places[row["class_a"]], places[row["class_b"]]]
        assert float(row["napvd"]) == pytest.approx(distance, rel=1e-4)
        assert row["top"] == str(int(int(row["rank"]) <= 2))
    below = [row for row in rows if row["below_one_sd"] == "1"]
    assert len(below) == manifest.result["confusion"]["one_sd"] >= 1
    rows = read_csv(out / "bias.csv")
    values = [float(row["average_bias"]) for row in rows]
    assert values == sorted(values, reverse=True)
    expected = average_bias(matrices["confusion"])
    np.testing.assert_allclose(matrices["bias"], expected.average)
    for row in rows:
        a, b = places[row["class_a"]], places[row["class_b"]]
        third = expected.thirds[a, b, 0]
        assert row["third_1"] == ("" if third < 0 else NAMES[third])
        if third >= 0:
            near = matrices["confusion"][third]
            assert row["nearer_1"] == (row["class_a"] if near[a] < near[b] else row["class_b"])
    assert read_top_pairs(out, "bias") == rows


def list_confused_images(out):
    by_pair = {}
    for row in read_csv(out / "predictions.csv"):
        if row["expected"] != row["predicted"]:
            by_pair.setdefault(frozenset((row["expected"], row["predicted"])), []).append(
                row["path"]
            )
    return by_pair


def test_confused_images_are_listed_by_pair(inspection, images):
    out, manifest = inspection
    pairs = list_confused_images(out)
    assert frozenset(("pink", "red")) in pairs
    for row in read_csv(out / "confusion.csv"):
        expected = pairs.get(frozenset((row["class_a"], row["class_b"])), [])
        assert int(row["images"]) == len(expected)
    lists = read_csv(out / "pairs" / "pairs.csv")
    assert {frozenset((row["class_a"], row["class_b"])) for row in lists} == set(pairs)
    for row in lists:
        a, b = NAMES.index(row["class_a"]), NAMES.index(row["class_b"])
        assert row["list"] == f"{a}-{b}.txt"
        image_list = list_images(out / "pairs" / row["list"])
        assert image_list.folder == images
        assert list(image_list.paths) == sorted(pairs[frozenset((row["class_a"], row["class_b"]))])
        assert not image_list.rejected
    assert manifest.result["confused_images"] == sum(len(paths) for paths in pairs.values())


def test_a_list_names_its_confusion(inspection, images, tmp_path):
    out, _ = inspection
    (note,) = describe_source(out / "pairs" / "2-3.txt")
    rank = next(
        row["rank"] for row in read_csv(out / "confusion.csv") if row["class_a"] == "pink"
        and row["class_b"] == "red"
    )  # fmt: skip
    assert "between “pink” and “red”" in note
    assert f"ranks {rank} by NAPVD" in note
    assert describe_source(images) == []
    assert describe_source(out / "confusion.csv") == []


def test_the_ranking_is_evaluated_by_labels(inspection):
    out, manifest = inspection
    evaluation = json.loads((out / "evaluation.json").read_text())
    assert evaluation["truth"] == "type1"
    rows = read_csv(out / "confusion.csv")
    labels, predictions = zip(
        *[(row["expected"], row["predicted"]) for row in read_csv(out / "predictions.csv")],
        strict=True,
    )
    for row in rows:
        shares = []
        for label, prediction in (
            (row["class_a"], row["class_b"]),
            (row["class_b"], row["class_a"]),
        ):
            wrong = sum(
                pair == (label, prediction) for pair in zip(labels, predictions, strict=True)
            )
            shares.append(wrong / labels.count(label))
        assert float(row["type1"]) == pytest.approx(sum(shares) / 2, abs=1e-5)
    wrong = [row for row in rows if row["true_error"] == "1"]
    assert evaluation["confusion"]["errors"] == len(wrong) >= 1
    first_rows = [row for row in rows if row["below_one_sd"] == "1"]
    assert evaluation["confusion"]["one_sd"]["tp"] == sum(row in wrong for row in first_rows)
    assert evaluation["confusion"]["aucec_gain_over_random"] > 0
    # Where one pair alone is confused, its disparity to all others is the same: none stands out.
    assert evaluation["bias"] is None
    assert any("No pair stands out in the labels' bias" in note for note in manifest.notes)
    thresholds = manifest.result["thresholds"]
    assert [row["threshold"] for row in thresholds] == [0.5, 0.3]
    assert thresholds[0]["spearman_with_first"] == 1
    gain = evaluation["confusion"]["aucec_gain_over_random"]
    assert thresholds[0]["aucec_gain_over_random"] == gain


def test_every_file_is_predicted_or_rejected_and_what_is_shown_has_a_thumbnail(inspection):
    out, manifest = inspection
    rows = read_csv(out / "predictions.csv")
    assert len(rows) == manifest.images.used == 5 * PER_CLASS
    assert list(read_pairs(out / "rejected.txt")) == ["red/bad.png"]
    for row in rows:
        if row["thumbnail"]:
            assert (out / "thumbnails" / row["thumbnail"]).is_file()
    with_thumbnail = {row["path"] for row in rows if row["thumbnail"]}
    assert {
        path for paths in list_confused_images(out).values() for path in paths
    } <= with_thumbnail
    for name in NAMES:
        assert sum(row["predicted"] == name for row in rows if row["path"] in with_thumbnail) >= 12
    read, classes = read_inspection(out)
    assert [row.name for row in classes] == list(NAMES)
    assert [row.labelled for row in classes] == [PER_CLASS] * 5
    assert sum(row.predicted for row in classes) == 5 * PER_CLASS
    assert read.result["pairs"] == 10


def test_a_threshold_that_no_class_passes_has_no_ranking_to_compare(inspection):
    findings = find_pairs(NAMES, read_matrices(inspection[0])["confusion"], 1)
    manifest = Manifest(job="inspect", command=[], folder="", parameters={})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compare_thresholds(manifest, (0.5, 0.9), findings, None, [np.zeros((5, 5))], 1)
    correlations = [row["spearman_with_first"] for row in manifest.result["thresholds"]]
    assert correlations == [1, None]


def test_the_same_input_gives_the_same_files(inspection, model, images, tmp_path):
    out, _ = inspection
    options = Options(thresholds=(0.5, 0.3), top_percent=20)
    inspect_model(model, images, tmp_path / "again", options, progress=quiet)
    for name in ("confusion.csv", "bias.csv", "classes.csv", "predictions.csv", "evaluation.json"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()
    inspect_model(
        model, images, tmp_path / "again", Options(labelled=False), progress=quiet, overwrite=True
    )
    assert not (tmp_path / "again" / "evaluation.json").exists()
    assert not (tmp_path / "again" / "pairs").exists()


def test_overwriting_an_inspection_removes_no_file_that_it_did_not_write(
    inspection, model, images, tmp_path
):
    out = shutil.copytree(inspection[0], tmp_path / "run")
    assert find_undeclared(out, "inspect") == set()
    assert list((out / "pairs").iterdir())
    foreign = write_foreign(out, "inspect")
    inspect_model(model, images, out, Options(labelled=False), progress=quiet, overwrite=True)
    assert read_files(out, foreign) == foreign
    assert [file.name for file in (out / "pairs").iterdir()] == ["my notes.txt"]


def test_pairs_are_ranked_without_labels(inspection, model, tmp_path):
    out = tmp_path / "run"
    manifest = inspect_model(
        model, draw(tmp_path / "images", labelled=False), out, Options(), progress=quiet
    )
    napvd_with_labels = {
        (row["class_a"], row["class_b"]): row["napvd"]
        for row in read_csv(inspection[0] / "confusion.csv")
    }
    for row in read_csv(out / "confusion.csv"):
        pair = NAMES[int(row["class_a"])], NAMES[int(row["class_b"])]
        assert row["napvd"] == napvd_with_labels[pair]
        assert "true_error" not in row
    assert not (out / "evaluation.json").exists()
    assert any("No labels are known" in note for note in manifest.notes)
    rows = read_csv(out / "predictions.csv")
    assert {row["runner_up"] for row in rows} <= {str(place) for place in range(5)}
    by_margin = sorted(rows, key=lambda row: float(row["margin"]))
    assert by_margin[0]["thumbnail"]


def test_names_of_classes_can_be_given(model, tmp_path):
    file = tmp_path / "names.txt"
    file.write_text("\n".join(name.upper() for name in NAMES))
    images = draw(tmp_path / "images", labelled=False)
    inspect_model(model, images, tmp_path / "run", Options(classes=file), progress=quiet)
    assert {row["class_a"] for row in read_csv(tmp_path / "run" / "confusion.csv")} <= {
        name.upper() for name in NAMES
    }
    file.write_text("a\nb\n")
    with pytest.raises(InputError, match="expected 5 names"):
        inspect_model(model, images, tmp_path / "no", Options(classes=file), progress=quiet)


def test_a_class_that_is_never_predicted_has_no_distance(model, images, tmp_path):
    folder = tmp_path / "images"
    for name in ("blue", "green", "pink", "white"):
        (folder / name).mkdir(parents=True)
        for file in (images / name).glob("0*.png"):
            if name != "pink" or file.name in {"00.png"}:
                (folder / name / file.name).write_bytes(file.read_bytes())
    Image.new("RGB", (16, 12), CENTRES["blue"]).save(folder / "pink" / "00.png")
    names = tmp_path / "names.txt"
    names.write_text("\n".join(NAMES))
    out = tmp_path / "run"
    manifest = inspect_model(model, folder, out, Options(classes=names), progress=quiet)
    assert any("Never predicted: pink, red (2 of 5 classes)" in note for note in manifest.notes)
    rows = read_csv(out / "confusion.csv")
    assert [row["napvd"] == "" for row in rows] == [False] * 3 + [True] * 7
    assert all(row["below_one_sd"] == "0" for row in rows if not row["napvd"])
    blue_pink = next(row for row in rows if {row["class_a"], row["class_b"]} == {"blue", "pink"})
    assert blue_pink["type1"] == "0.5"
    assert blue_pink["images"] == "1"


def test_two_classes_have_no_bias(tmp_path):
    model = save_model(tmp_path / "two.keras", ("blue", "green"))
    folder = draw(tmp_path / "all")
    for name in ("pink", "red", "white"):
        for file in (folder / name).iterdir():
            file.unlink()
    manifest = inspect_model(model, folder, tmp_path / "run", Options(), progress=quiet)
    assert any("Bias is not defined between two classes" in note for note in manifest.notes)
    assert not (tmp_path / "run" / "bias.csv").exists()
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["bias"] is None


def test_several_labels_an_image(tmp_path):
    """Type 2: halves of two colours; the DNN sees red wherever there is pink."""
    keras, _ = import_keras()
    layers = keras.layers
    dnn = keras.Sequential(
        [
            keras.Input((12, 16, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 1, activation="relu", name="maps"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(3, activation="sigmoid", name="end"),
        ]
    )
    dnn.get_layer("maps").set_weights(
        [np.array([[[[1.0, -1, -1, 1], [-1, 1, -1, 1], [-1, -1, 1, 1]]]]), np.zeros(4)]
    )
    weights = np.zeros((4, 3))
    weights[[0, 1, 2], [0, 1, 2]] = 20
    weights[0, 1] = 20  # red makes it see green, too
    dnn.get_layer("end").set_weights([weights, np.full(3, -8.0)])
    dnn.save(tmp_path / "dnn.keras")
    colours = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
    names = tuple(colours)
    folder = tmp_path / "images"
    folder.mkdir()
    rows = []
    for number, colours_of_image in enumerate([("red",), ("green",), ("blue",), ("red", "blue"),
                                    ("green", "blue"), ("red", "green")] * 3):  # fmt: skip
        image = Image.new("RGB", (16, 12))
        for place, name in enumerate(colours_of_image):
            image.paste(colours[name], (8 * place, 0, 8 * place + 8, 12))
        image.save(folder / f"{number}.png")
        rows.append((f"{number}.png", ";".join(colours_of_image)))
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *rows])
    classes = tmp_path / "classes.txt"
    classes.write_text("\n".join(names))
    out = tmp_path / "run"
    inspect_model(tmp_path / "dnn.keras", folder, out, Options(classes=classes), progress=quiet)
    evaluation = json.loads((out / "evaluation.json").read_text())
    assert evaluation["truth"] == "type2"
    by_pair = {(row["class_a"], row["class_b"]): row for row in read_csv(out / "confusion.csv")}
    # Of the images with red and without green all are seen with both, of the others none.
    assert by_pair["red", "green"]["type2"] == "0.5"
    assert by_pair["red", "green"]["images"] == "6"
    assert by_pair["red", "blue"]["type2"] == "0.0"
    # An image of red and blue that is taken for green as well confuses blue and green, too.
    assert by_pair["green", "blue"]["images"] == "3"
    predictions = {row["path"]: row["predicted"] for row in read_csv(out / "predictions.csv")}
    assert predictions["0.png"] == "red;green"
