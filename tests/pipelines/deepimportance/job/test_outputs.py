"""Coverage of DNNs with other outputs and odd neurons: numbers, several labels, one class."""

import shutil

import numpy as np
import pytest

from pipelines.data.images import check_image
from pipelines.dnn.keras import import_keras
from pipelines.dnn.model import load_batches, load_network, scale
from pipelines.dnn.relevance import build_relevance
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv, write_csv
from tests.pipelines.deepimportance.measured import build, document_of, measure


def copy_with_labels(folders, root, column, label):
    """Copy the images of training and test, each with a table of what `label` says of them."""
    for name in ("training", "test"):
        shutil.copytree(folders / name, root / name)
        paths = sorted(p.relative_to(root / name) for p in (root / name).rglob("*.png"))
        rows = [(path.as_posix(), label(place, path)) for place, path in enumerate(paths)]
        write_csv(root / name / "labels.csv", ("path", column), rows)


def test_one_class_and_a_convolution(model, folders, tmp_path, measurements):
    manifest = measure(
        model, folders, tmp_path / "run", layer="conv", neurons=2, class_="left", new=True
    )
    document = document_of(tmp_path / "run")
    assert document["layer"] == "conv"
    assert document["tests"][0]["images"] == 12
    assert manifest.result["training_images"] == 40
    assert {
        row["path"].split("/")[0]
        for row in document["tests"][0]["table"]
        for row in [{"path": row["example"]}]
    } == {"left"}
    network = load_network(model)
    explain = build_relevance(network.model, rule="epsilon", layers=("conv",))
    images = [
        check_image(folders / "training", p) for p in measurements["training"][0] if "left" in p
    ]
    (batch,) = load_batches(network, folders / "training", images, 100)
    pixels = scale(network, np.stack([pixel for _, pixel in batch]))
    relevance = explain(pixels, np.zeros(len(images), np.int32)).layers["conv"].sum(axis=(0, 1, 2))
    assert manifest.chosen["neurons"] == np.argsort(-relevance)[:2].tolist()
    is_class = measurements["new"][1].argmax(axis=1) == 0
    assert document["widening"]["images"] == is_class.sum()


def test_numbers_of_images_in_folders_that_are_no_classes_stay_numbers(folders, tmp_path):
    keras, _ = import_keras()
    keras.utils.set_random_seed(4)
    build(keras.layers.Dense(1, name="angle")).save(tmp_path / "dnn.keras")
    for name in ("training", "test"):
        for place, file in enumerate(sorted((folders / name).rglob("*.png"))):
            drive = tmp_path / name / f"drive {place % 3}"
            drive.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, drive / f"{place}.png")
    manifest = measure(tmp_path / "dnn.keras", tmp_path, tmp_path / "run")
    assert "are not taken as classes" in manifest.notes[0]
    cells = {row["criterion"]: row["tests"][0] for row in document_of(tmp_path / "run")["criteria"]}
    assert cells["DSC"]["value"] is None


def test_numbers_have_no_surprise_by_distance(folders, tmp_path):
    keras, _ = import_keras()
    keras.utils.set_random_seed(4)
    build(keras.layers.Dense(1, name="angle")).save(tmp_path / "dnn.keras")
    copy_with_labels(folders, tmp_path, "angle", lambda place, path: 0.5 * place)
    measure(tmp_path / "dnn.keras", tmp_path, tmp_path / "run")
    cells = {row["criterion"]: row["tests"][0] for row in document_of(tmp_path / "run")["criteria"]}
    assert cells["DSC"]["value"] is None
    assert cells["LSC"]["value"] is not None


def test_surprise_that_is_not_defined_is_not_0(folders, tmp_path):
    """Where all training images are taken for one class, no other class is near."""
    keras, _ = import_keras()
    keras.utils.set_random_seed(3)
    dnn = build()
    kernel, _ = dnn.get_layer("end").get_weights()
    dnn.get_layer("end").set_weights([kernel * 0, np.array([0, 1], np.float32)])
    dnn.save(tmp_path / "dnn.keras")
    measure(tmp_path / "dnn.keras", folders, tmp_path / "run", ("test", "other/test"))
    rows = {
        (row["test_set"], row["criterion"]): row for row in read_csv(tmp_path / "run/criteria.csv")
    }
    for name in ("test", "test (2)"):
        assert rows[name, "DSC"]["value"] == rows[name, "DSC"]["added_to_the_first"] == ""
        assert rows[name, "LSC"]["value"] != ""


def test_a_class_before_a_sigmoid(folders, tmp_path):
    keras, _ = import_keras()
    keras.utils.set_random_seed(4)
    build(keras.layers.Dense(1, name="logit")).save(tmp_path / "dnn.keras")
    copy_with_labels(
        folders, tmp_path, "label", lambda place, path: int(path.parent.name == "right")
    )
    with pytest.raises(InputError, match="give --classes, a file of two lines"):
        measure(tmp_path / "dnn.keras", tmp_path, tmp_path / "run")
    (tmp_path / "classes.txt").write_text("0\n1\n")
    classes = tmp_path / "classes.txt"
    measure(tmp_path / "dnn.keras", tmp_path, tmp_path / "run", overwrite=True, classes=classes)
    assert 0 <= document_of(tmp_path / "run")["tests"][0]["accuracy"] <= 1


def test_a_neuron_that_hardly_varies_has_distinct_centroids(folders, tmp_path):
    keras, _ = import_keras()
    keras.utils.set_random_seed(3)
    dnn = build(hidden=3)
    kernel, bias = dnn.get_layer("hidden").get_weights()
    dnn.get_layer("hidden").set_weights([kernel * 1e-6, bias + 1])
    dnn.save(tmp_path / "dnn.keras")
    measure(tmp_path / "dnn.keras", folders, tmp_path / "run", neurons=3)
    for neuron in document_of(tmp_path / "run")["neurons"]:
        ends = [neuron["low"], *neuron["borders"], neuron["high"]]
        assert len(neuron["borders"]) > 0
        assert len(set(ends)) == len(ends)  # the page draws the regions between them
        assert len(set(neuron["centroids"])) == len(neuron["centroids"])


def test_a_constant_neuron_is_noted(folders, tmp_path):
    keras, _ = import_keras()
    keras.utils.set_random_seed(3)
    dnn = build(hidden=3)
    kernel, bias = dnn.get_layer("hidden").get_weights()
    kernel[:, 1], bias[1] = 0, 0.25
    dnn.get_layer("hidden").set_weights([kernel, bias])
    dnn.save(tmp_path / "dnn.keras")
    manifest = measure(tmp_path / "dnn.keras", folders, tmp_path / "run", neurons=3)
    assert "Neuron 1 gives 0.25 for all training images" in " ".join(manifest.notes)
    assert 1 in manifest.chosen["clusters"]


@pytest.mark.parametrize("class_", [None, "left", "right"])
def test_with_one_output_what_lowers_it_speaks_for_the_first_class(folders, tmp_path, class_):
    keras, _ = import_keras()
    keras.utils.set_random_seed(5)
    dnn = build(keras.layers.Dense(1, activation="sigmoid", name="end"))
    kernel, bias = dnn.get_layer("end").get_weights()
    network_images = [
        check_image(folders / "training", f.relative_to(folders / "training").as_posix())
        for f in sorted((folders / "training").rglob("*.png"))
    ]
    dnn.save(tmp_path / "dnn.keras")
    network = load_network(tmp_path / "dnn.keras")
    (batch,) = load_batches(network, folders / "training", network_images, 100)
    pixels = scale(network, np.stack([pixel for _, pixel in batch]))
    hidden_layer = keras.Model(dnn.inputs, dnn.get_layer("hidden").output)
    values = np.asarray(hidden_layer(pixels))
    bias = -np.median(values @ kernel, axis=0)  # so that both classes are predicted
    dnn.get_layer("end").set_weights([kernel, bias])
    dnn.save(tmp_path / "dnn.keras")
    manifest = measure(tmp_path / "dnn.keras", folders, tmp_path / "run", class_=class_, neurons=5)
    total = np.zeros(8)
    for image, row in zip(network_images, values.astype(np.float64), strict=True):
        label = image.path.split("/")[0]
        if class_ in (None, label):
            logit = float(row @ kernel[:, 0] + bias[0])
            first = logit < 0 if class_ is None else class_ == "left"
            total += (-1 if first else 1) * row * kernel[:, 0]
    assert manifest.chosen["neurons"] == np.argsort(-total, kind="stable")[:5].tolist()


def test_several_labels_an_image(folders, tmp_path):
    keras, _ = import_keras()
    keras.utils.set_random_seed(6)
    end = keras.layers.Dense(2, activation="sigmoid", name="end")
    build(end).save(tmp_path / "dnn.keras")
    for name in ("training", "test"):
        shutil.copytree(folders / name, tmp_path / name)
        paths = sorted(p.relative_to(tmp_path / name) for p in (tmp_path / name).rglob("*.png"))
        rows = [(p.as_posix(), ("a", "b", "a;b")[i % 3]) for i, p in enumerate(paths)]
        write_csv(tmp_path / name / "labels.csv", ("path", "label"), rows)
    measure(tmp_path / "dnn.keras", tmp_path, tmp_path / "run")
    document = document_of(tmp_path / "run")
    assert 0 <= document["tests"][0]["accuracy"] < 1
    cells = {row["criterion"]: row["tests"][0]["value"] for row in document["criteria"]}
    assert cells["DSC"] is None
    with pytest.raises(InputError, match="expected a DNN that predicts one class for each image"):
        measure(tmp_path / "dnn.keras", tmp_path, tmp_path / "other", class_="a")
