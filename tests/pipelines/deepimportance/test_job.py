"""Coverage from end to end: real pictures, a small DNN, and the files of a run."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data.images import check_image
from pipelines.deepimportance import criteria
from pipelines.deepimportance.coverage import find_combinations
from pipelines.deepimportance.job import Options, measure_coverage
from pipelines.deepimportance.quantisation import find_regions, quantise
from pipelines.deepimportance.results import CRITERIA, export_widening, read_coverage
from pipelines.dnn.activations import build_activations, neuron_layers
from pipelines.dnn.keras import import_keras
from pipelines.dnn.model import load_batches, load_network, scale
from pipelines.dnn.relevance import PREDICTED, build_relevance
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv, read_pairs, write_csv
from pipelines.runs.manifest import read_manifest
from tests.foreign import read_files, undeclared, write_foreign
from tests.pipelines.hudd.test_job import SIZE, draw, quiet


def build(keras, end=None, hidden=8):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((SIZE[1], SIZE[0], 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.MaxPooling2D(3, 2, name="pool"),
            layers.Flatten(),
            layers.Dense(hidden, activation="relu", name="hidden"),
            end or layers.Dense(2, activation="softmax", name="end"),
        ]
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    keras, _ = import_keras()
    keras.utils.set_random_seed(3)
    file = tmp_path_factory.mktemp("model") / "dnn.keras"
    build(keras).save(file)
    return file


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
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


@pytest.fixture(scope="module")
def finished(model, folders, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    measure(model, folders, out, ("test", "other/test"), neurons=4, new=True)
    return out


@pytest.fixture(scope="module")
def looked_at(model, folders):
    """All that a run is made of, measured anew: by set, activations of all layers; relevance."""
    network = load_network(model)
    layers = tuple(neuron_layers(network.model))
    activate = build_activations(network.model, layers)
    explain = build_relevance(network.model, rule="epsilon", layers=("hidden",))
    found = {}
    for name in ("training", "test", "other/test", "new"):
        paths = sorted(
            file.relative_to(folders / name).as_posix() for file in (folders / name).rglob("*.png")
        )
        images = [check_image(folders / name, path) for path in paths if "bad" not in path]
        (batch,) = load_batches(network, folders / name, images, 100)
        pixels = scale(network, np.stack([pixel for _, pixel in batch]))
        outputs, values = activate(pixels)
        targets = np.full(len(pixels), PREDICTED, np.int32)
        relevance = explain(pixels, targets).layers["hidden"]
        found[name] = ([image.path for image in images], outputs, values, relevance)
    return found


def test_the_layer_is_the_last_but_one_and_its_neurons_those_of_most_relevance(finished, looked_at):
    manifest = read_manifest(finished)
    assert manifest.job == "coverage"
    assert manifest.ended == "finished"
    assert manifest.chosen["layer"] == "hidden"
    total = looked_at["training"][3].sum(axis=0)
    assert manifest.chosen["neurons"] == np.argsort(-total, kind="stable")[:4].tolist()
    rows = read_csv(finished / "neurons.csv")
    assert len(rows) == sum(manifest.chosen["clusters"])
    for row in rows:
        assert float(row["relevance"]) == pytest.approx(total[int(row["neuron"])], rel=1e-4)
        values = looked_at["training"][2]["hidden"][:, int(row["neuron"])]
        regions = quantise(values)
        place = int(row["region"]) - 1
        assert float(row["centroid"]) == pytest.approx(regions.centroids[place], rel=1e-4)
        assert int(row["training_images"]) == regions.sizes[place]


def regions_of(finished, looked_at):
    neurons = read_manifest(finished).chosen["neurons"]
    training = looked_at["training"][2]["hidden"]
    regions = [quantise(training[:, neuron]) for neuron in neurons]
    return {
        name: find_regions(each[2]["hidden"][:, neurons], regions)
        for name, each in looked_at.items()
    }, [len(each.centroids) for each in regions]


def test_coverage_is_measured_on_the_layer_that_was_quantised(finished, looked_at):
    rows, clusters = regions_of(finished, looked_at)
    told = read_coverage(finished)
    assert [test["name"] for test in told["tests"]] == ["test", "test (2)"]
    for name, test in zip(("test", "other/test"), told["tests"], strict=True):
        seen = find_combinations(rows[name])
        assert test["covered"] == len(seen.rows)
        assert test["coverage"] == pytest.approx(len(seen.rows) / np.prod(clusters), rel=1e-5)
        combinations = [
            row
            for row in read_csv(finished / "combinations.csv")
            if row["test_set"] == test["name"]
        ]
        covered = {row["combination"]: row for row in combinations if row["covered"] == "1"}
        for row, count, first in zip(seen.rows, seen.counts, seen.first, strict=True):
            line = covered[" ".join(str(r + 1) for r in row)]
            assert int(line["images"]) == count
            assert line["example"] == looked_at[name][0][first]
        assert len(covered) == len(seen.rows)
        assert len(combinations) == np.prod(clusters)  # few enough to list all
        alone = {each["path"] for each in test["contributors"]}
        keys = [tuple(row) for row in rows[name].tolist()]
        assert alone == {
            path for path, key in zip(looked_at[name][0], keys, strict=True) if keys.count(key) == 1
        }
        grown = [
            row for row in read_csv(finished / "growth.csv") if row["test_set"] == test["name"]
        ]
        assert [row["path"] for row in grown] == looked_at[name][0]
        assert int(grown[-1]["combinations"]) == len(seen.rows)
    assert read_manifest(finished).result["coverage"] == told["tests"][0]["coverage"]


def test_every_criterion_of_every_set_and_added_to_the_first(finished, looked_at):
    rows = {(row["test_set"], row["criterion"]): row for row in read_csv(finished / "criteria.csv")}
    assert {criterion for _, criterion in rows} == set(CRITERIA)
    training, test, other = (looked_at[name] for name in ("training", "test", "other/test"))

    def bits(each):
        found = {name: [] for name in ("NC", "KMNC", "NBC", "SNAC", "TKNC")}
        for layer, values in each[2].items():
            known = criteria.widen(None, training[2][layer])
            found["NC"].append(criteria.neuron_coverage(values))
            found["KMNC"].append(criteria.multisection_coverage(values, known).ravel())
            found["NBC"].append(criteria.boundary_coverage(values, known).ravel())
            found["SNAC"].append(criteria.boundary_coverage(values, known)[:, 1])
            found["TKNC"].append(criteria.top_coverage(values))
        merged = {name: np.concatenate(parts) for name, parts in found.items()}
        classes = training[1].argmax(axis=1).astype(np.int32)
        given = each[2]["hidden"], each[1].argmax(axis=1).astype(np.int32)
        known = training[2]["hidden"], classes
        merged["LSC"] = criteria.surprise_coverage(
            criteria.likelihood_surprise(*given, *known), 2000
        )
        merged["DSC"] = criteria.surprise_coverage(criteria.distance_surprise(*given, *known), 2)
        return merged

    one, two = bits(test), bits(other)
    for name in one:
        assert float(rows["test", name]["value"]) == pytest.approx(one[name].mean(), rel=1e-4)
        assert rows["test", name]["added_to_the_first"] == ""
        added = float(rows["test (2)", name]["added_to_the_first"])
        assert added == pytest.approx((one[name] | two[name]).mean(), rel=1e-4)
    combined, clusters = regions_of(finished, looked_at)
    union = np.unique(np.concatenate([combined["test"], combined["other/test"]]), axis=0)
    assert float(rows["test (2)", "IDC"]["added_to_the_first"]) == pytest.approx(
        len(union) / np.prod(clusters), rel=1e-4
    )


def test_new_images_add_what_they_say(finished, folders, looked_at, tmp_path):
    combined, _ = regions_of(finished, looked_at)
    covered = set(map(tuple, combined["test"].tolist()))
    keys = dict(zip(looked_at["new"][0], map(tuple, combined["new"].tolist()), strict=True))
    rows = read_csv(finished / "widening.csv")
    assert {row["path"] for row in rows} == {path for path, k in keys.items() if k not in covered}
    assert rows
    for row in rows:
        assert (row["adds"] == "1") == (keys[row["path"]] not in covered)
        covered.add(keys[row["path"]])
    adds = [row["path"] for row in rows if row["adds"] == "1"]
    wanted, missing = export_widening(finished, tmp_path / "out", quiet)
    assert (wanted, missing) == (len(adds), [])
    copied = tmp_path / "out" / "new combinations"
    assert {f.relative_to(copied).as_posix() for f in copied.rglob("*.png")} == set(adds)
    for path in adds:
        assert (copied / path).read_bytes() == (folders / "new" / path).read_bytes()
    tasks = json.loads((tmp_path / "out" / "label_studio.json").read_text())
    assert [task["data"]["path"] for task in tasks] == adds
    coco = json.loads((tmp_path / "out" / "coco.json").read_text())
    assert {image["file_name"] for image in coco["images"]} == {
        f"new combinations/{path}" for path in adds
    }
    export_widening(finished, tmp_path / "linked", quiet, links=True, count=1)
    (link,) = (tmp_path / "linked" / "new combinations").rglob("*.png")
    assert link.is_symlink()
    with pytest.raises(InputError, match="no new or empty folder"):
        export_widening(finished, tmp_path / "out", quiet)
    with pytest.raises(InputError, match="--count: expected a number of images"):
        export_widening(finished, tmp_path / "more", quiet, count=0)


def test_folders_are_named_in_full(model, folders, tmp_path, monkeypatch):
    monkeypatch.chdir(folders)
    measure(model, Path(), tmp_path / "run", neurons=4, new=True)
    told = read_coverage(tmp_path / "run")
    assert told["training"]["folder"] == str(folders / "training")
    assert told["tests"][0]["folder"] == str(folders / "test")
    monkeypatch.chdir(tmp_path)  # where the export is started does not matter
    wanted, missing = export_widening(tmp_path / "run", tmp_path / "out", quiet)
    assert (wanted > 0, missing) == (True, [])


def test_a_folder_whose_name_is_no_text(model, folders, tmp_path):
    odd = tmp_path / os.fsdecode(b"test \xff")
    shutil.copytree(folders / "test", odd)
    shutil.copytree(folders / "training", tmp_path / "training")
    measure(model, tmp_path, tmp_path / "run", (odd.name,))
    assert read_coverage(tmp_path / "run")["tests"][0]["folder"].endswith("test \\xff")


def test_new_images_may_wait_for_their_labels(model, folders, tmp_path):
    for name in ("training", "test", "new"):
        shutil.copytree(folders / name, tmp_path / name)
    paths = sorted(p.relative_to(tmp_path / "new") for p in (tmp_path / "new").rglob("*.png"))
    rows = [(path.as_posix(), "") for path in paths]
    write_csv(tmp_path / "new" / "labels.csv", ("path", "label"), rows)
    manifest = measure(model, tmp_path, tmp_path / "run", new=True)
    assert manifest.result["new_images"] == 40


def test_files_of_the_run(finished):
    assert read_pairs(finished / "rejected.txt").keys() == {"test/left/bad.png"}
    assert undeclared(finished, "coverage") == set()
    told = read_coverage(finished)
    shown = [row["thumbnail"] for test in told["tests"] for row in test["table"]]
    shown += [row["thumbnail"] for row in told["widening"]["rows"]]
    for name in shown:
        with Image.open(finished / name) as picture:
            assert max(picture.size) == 160
    assert read_manifest(finished).images.model_dump() == {
        "found": 157,
        "used": 156,
        "rejected": 1,
    }


def test_overwriting_coverage_removes_no_file_that_it_did_not_write(
    finished, model, folders, tmp_path
):
    out = shutil.copytree(finished, tmp_path / "run")
    foreign = write_foreign(out, "coverage")
    measure(model, folders, out, neurons=4, overwrite=True)
    assert read_files(out, foreign) == foreign
    assert not (out / "widening.csv").exists()


def test_the_same_again_gives_the_same_files(finished, model, folders, tmp_path):
    measure(model, folders, tmp_path / "again", ("test", "other/test"), neurons=4, new=True)
    for file in finished.rglob("*"):
        if file.is_file() and file.name not in {"run.json", "status.json"}:
            other = tmp_path / "again" / file.relative_to(finished)
            assert file.read_bytes() == other.read_bytes()


def test_one_class_and_a_convolution(model, folders, tmp_path, looked_at):
    manifest = measure(
        model, folders, tmp_path / "run", layer="conv", neurons=2, class_="left", new=True
    )
    told = read_coverage(tmp_path / "run")
    assert told["layer"] == "conv"
    assert told["tests"][0]["images"] == 12
    assert manifest.result["training_images"] == 40
    assert {
        row["path"].split("/")[0]
        for row in told["tests"][0]["table"]
        for row in [{"path": row["example"]}]
    } == {"left"}
    network = load_network(model)
    explain = build_relevance(network.model, rule="epsilon", layers=("conv",))
    images = [check_image(folders / "training", p) for p in looked_at["training"][0] if "left" in p]
    (batch,) = load_batches(network, folders / "training", images, 100)
    pixels = scale(network, np.stack([pixel for _, pixel in batch]))
    relevance = explain(pixels, np.zeros(len(images), np.int32)).layers["conv"].sum(axis=(0, 1, 2))
    assert manifest.chosen["neurons"] == np.argsort(-relevance)[:2].tolist()
    predicted = looked_at["new"][1].argmax(axis=1) == 0
    assert told["widening"]["images"] == predicted.sum()


def test_accuracy_where_there_are_labels(finished, looked_at):
    for name, test in zip(("test", "other/test"), read_coverage(finished)["tests"], strict=True):
        paths, outputs = looked_at[name][:2]
        right = [
            ("left", "right")[k] == p.split("/")[0]
            for p, k in zip(paths, outputs.argmax(axis=1), strict=True)
        ]
        assert test["accuracy"] == pytest.approx(np.mean(right), abs=1e-4)


def test_another_order_of_the_classes_is_noted(folders, tmp_path):
    """The DNN has left last; sorted, it comes first."""
    keras, _ = import_keras()
    keras.utils.set_random_seed(3)
    dnn = build(keras)
    shown = [(file, file.parent.name) for file in sorted((folders / "training").rglob("*.png"))]
    pixels = np.stack([np.asarray(Image.open(file)) for file, _ in shown]).astype(np.float32)
    dnn.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    dnn.fit(pixels, np.array([name == "left" for _, name in shown]), epochs=8, verbose=0)
    dnn.save(tmp_path / "dnn.keras")
    manifest = measure(tmp_path / "dnn.keras", folders, tmp_path / "run", neurons=4)
    assert "With the classes in another order" in " ".join(manifest.notes)
    (tmp_path / "classes.txt").write_text("right\nleft\n")
    given = {"classes": tmp_path / "classes.txt", "overwrite": True, "neurons": 4}
    manifest = measure(tmp_path / "dnn.keras", folders, tmp_path / "run", **given)
    assert "another order" not in " ".join(manifest.notes)
    assert read_coverage(tmp_path / "run")["tests"][0]["accuracy"] > 0.8


def test_images_without_labels(model, folders, tmp_path):
    for name in ("training", "test"):
        (tmp_path / name).mkdir()
        for file in (folders / name).rglob("*.png"):
            shutil.copy(file, tmp_path / name / f"{file.parent.name} {file.name}")
    measure(model, tmp_path, tmp_path / "run")
    test = read_coverage(tmp_path / "run")["tests"][0]
    assert test["accuracy"] is None
    assert test["images"] == 24
    with pytest.raises(InputError, match=r"--class: the images of .*training have no labels"):
        measure(model, tmp_path, tmp_path / "other", class_="left")


def test_folders_that_are_no_classes_are_noted(model, folders, tmp_path):
    shutil.copytree(folders / "training", tmp_path / "training")
    draw(tmp_path / "test", 2, 20)
    (tmp_path / "training" / "camera 3").mkdir()
    shutil.copy(next((tmp_path / "training").rglob("*.png")), tmp_path / "training" / "camera 3")
    manifest = measure(model, tmp_path, tmp_path / "run")
    assert "are not taken as classes" in manifest.notes[0]


def test_numbers_of_images_in_folders_that_are_no_classes_stay_numbers(folders, tmp_path):
    keras, _ = import_keras()
    keras.utils.set_random_seed(4)
    build(keras, keras.layers.Dense(1, name="angle")).save(tmp_path / "dnn.keras")
    for name in ("training", "test"):
        for place, file in enumerate(sorted((folders / name).rglob("*.png"))):
            drive = tmp_path / name / f"drive {place % 3}"
            drive.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, drive / f"{place}.png")
    manifest = measure(tmp_path / "dnn.keras", tmp_path, tmp_path / "run")
    assert "are not taken as classes" in manifest.notes[0]
    cells = {
        row["criterion"]: row["tests"][0] for row in read_coverage(tmp_path / "run")["criteria"]
    }
    assert cells["DSC"]["value"] is None


def test_numbers_have_no_surprise_by_distance(folders, tmp_path):
    keras, _ = import_keras()
    keras.utils.set_random_seed(4)
    build(keras, keras.layers.Dense(1, name="angle")).save(tmp_path / "dnn.keras")
    for name in ("training", "test"):
        shutil.copytree(folders / name, tmp_path / name)
        paths = sorted(p.relative_to(tmp_path / name) for p in (tmp_path / name).rglob("*.png"))
        rows = [(path.as_posix(), 0.5 * place) for place, path in enumerate(paths)]
        write_csv(tmp_path / name / "labels.csv", ("path", "angle"), rows)
    measure(tmp_path / "dnn.keras", tmp_path, tmp_path / "run")
    cells = {
        row["criterion"]: row["tests"][0] for row in read_coverage(tmp_path / "run")["criteria"]
    }
    assert cells["DSC"]["value"] is None
    assert cells["LSC"]["value"] is not None


def test_surprise_is_not_0_where_there_is_none(folders, tmp_path):
    """Where all training images are taken for one class, no other class is near."""
    keras, _ = import_keras()
    keras.utils.set_random_seed(3)
    dnn = build(keras)
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
    build(keras, keras.layers.Dense(1, name="logit")).save(tmp_path / "dnn.keras")
    for name in ("training", "test"):
        shutil.copytree(folders / name, tmp_path / name)
        paths = sorted(p.relative_to(tmp_path / name) for p in (tmp_path / name).rglob("*.png"))
        rows = [(path.as_posix(), int(path.parent.name == "right")) for path in paths]
        write_csv(tmp_path / name / "labels.csv", ("path", "label"), rows)
    with pytest.raises(InputError, match="give --classes, a file of two lines"):
        measure(tmp_path / "dnn.keras", tmp_path, tmp_path / "run")
    (tmp_path / "classes.txt").write_text("0\n1\n")
    classes = tmp_path / "classes.txt"
    measure(tmp_path / "dnn.keras", tmp_path, tmp_path / "run", overwrite=True, classes=classes)
    assert 0 <= read_coverage(tmp_path / "run")["tests"][0]["accuracy"] <= 1


def test_regions_of_a_neuron_that_hardly_varies_are_told_apart(folders, tmp_path):
    keras, _ = import_keras()
    keras.utils.set_random_seed(3)
    dnn = build(keras, hidden=3)
    kernel, bias = dnn.get_layer("hidden").get_weights()
    dnn.get_layer("hidden").set_weights([kernel * 1e-6, bias + 1])
    dnn.save(tmp_path / "dnn.keras")
    measure(tmp_path / "dnn.keras", folders, tmp_path / "run", neurons=3)
    for each in read_coverage(tmp_path / "run")["neurons"]:
        ends = [each["low"], *each["borders"], each["high"]]
        assert len(each["borders"]) > 0
        assert len(set(ends)) == len(ends)  # the page draws the regions between them
        assert len(set(each["centroids"])) == len(each["centroids"])


def test_a_constant_neuron_is_noted(folders, tmp_path):
    keras, _ = import_keras()
    keras.utils.set_random_seed(3)
    dnn = build(keras, hidden=3)
    kernel, bias = dnn.get_layer("hidden").get_weights()
    kernel[:, 1], bias[1] = 0, 0.25
    dnn.get_layer("hidden").set_weights([kernel, bias])
    dnn.save(tmp_path / "dnn.keras")
    manifest = measure(tmp_path / "dnn.keras", folders, tmp_path / "run", neurons=3)
    assert "Neuron 1 gives 0.25 for all training images" in " ".join(manifest.notes)
    assert 1 in manifest.chosen["clusters"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layer": "pool"}, r"'pool' is no layer with neurons. Choose among conv \(4\), hidden"),
        ({"neurons": 9}, "expected 1 to 8, as layer 'hidden' has 8 neurons, received 9"),
        ({"neurons": 0}, "--neurons: expected 1 to 8, as layer 'hidden' has 8 neurons, received 0"),
        ({"clusters": 1}, "--clusters: expected 2 to 255, received 1"),
        ({"clusters": 81}, "81 clusters need as many training images, received 80"),
        ({"rule": "best"}, r"--rule: expected epsilon, z\+, alpha-beta, received 'best'"),
        ({"class_": "up"}, "the DNN's classes are left, right; received 'up'"),
        ({"tests": ()}, "at least one test set"),
    ],
)
def test_what_cannot_be_used_is_named(model, folders, tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        measure(model, folders, tmp_path / "run", **options)
    assert not (tmp_path / "run" / "coverage.json").exists()


def test_a_test_set_of_other_classes(model, folders, tmp_path):
    shutil.copytree(folders / "training", tmp_path / "training")
    draw(tmp_path / "test", 2, 10)
    (tmp_path / "test" / "left").rename(tmp_path / "test" / "up")
    with pytest.raises(
        InputError, match=r"images of the class 'up' \(class folders\).*left, right"
    ):
        measure(model, tmp_path, tmp_path / "run")


def test_test_images_that_were_trained_with_are_noted(model, folders, tmp_path):
    shutil.copytree(folders / "training", tmp_path / "training")
    shutil.copytree(folders / "test", tmp_path / "test")
    for number, file in enumerate(sorted((tmp_path / "training" / "left").iterdir())[:3]):
        shutil.copy(file, tmp_path / "test" / "left" / f"again {number}.png")
    manifest = measure(model, tmp_path, tmp_path / "run", ("test", "training"))
    notes = " ".join(manifest.notes)
    assert "3 of the 27 images of test are training images, too" in notes
    assert "80 of the 80 images of training (2) are training images, too" in notes


def test_images_and_run_are_apart(model, folders):
    with pytest.raises(InputError, match="need folders apart"):
        measure(model, folders, folders / "test" / "run")


def test_a_folder_without_an_image(model, folders, tmp_path):
    shutil.copytree(folders / "training", tmp_path / "training")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "a.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="holds no usable image"):
        measure(model, tmp_path, tmp_path / "run")


def test_an_earlier_run_stays_when_the_new_one_fails(finished, model, folders, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    before = (tmp_path / "run" / "coverage.json").read_bytes()
    with pytest.raises(InputError, match="no layer with neurons"):
        measure(model, folders, tmp_path / "run", overwrite=True, layer="pool")
    assert (tmp_path / "run" / "coverage.json").read_bytes() == before
    measure(model, folders, tmp_path / "run", overwrite=True)
    assert not (tmp_path / "run" / "widening.csv").exists()


def test_a_damaged_document_is_named(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "coverage.json").write_text("[]")
    with pytest.raises(InputError, match=r"coverage.json is not as the tool writes it"):
        read_coverage(tmp_path / "run")


@pytest.mark.parametrize("class_", [None, "left", "right"])
def test_with_one_output_what_lowers_it_speaks_for_the_first_class(folders, tmp_path, class_):
    keras, _ = import_keras()
    keras.utils.set_random_seed(5)
    dnn = build(keras, keras.layers.Dense(1, activation="sigmoid", name="end"))
    kernel, bias = dnn.get_layer("end").get_weights()
    network_images = [
        check_image(folders / "training", f.relative_to(folders / "training").as_posix())
        for f in sorted((folders / "training").rglob("*.png"))
    ]
    dnn.save(tmp_path / "dnn.keras")
    network = load_network(tmp_path / "dnn.keras")
    (batch,) = load_batches(network, folders / "training", network_images, 100)
    pixels = scale(network, np.stack([pixel for _, pixel in batch]))
    hidden = keras.Model(dnn.inputs, dnn.get_layer("hidden").output)
    values = np.asarray(hidden(pixels))
    bias = -np.median(values @ kernel, axis=0)  # so that both classes are predicted
    dnn.get_layer("end").set_weights([kernel, bias])
    dnn.save(tmp_path / "dnn.keras")
    manifest = measure(tmp_path / "dnn.keras", folders, tmp_path / "run", class_=class_, neurons=5)
    total = np.zeros(8)
    for image, row in zip(network_images, values.astype(np.float64), strict=True):
        shown = image.path.split("/")[0]
        if class_ in (None, shown):
            logit = float(row @ kernel[:, 0] + bias[0])
            first = logit < 0 if class_ is None else class_ == "left"
            total += (-1 if first else 1) * row * kernel[:, 0]
    assert manifest.chosen["neurons"] == np.argsort(-total, kind="stable")[:5].tolist()


def test_several_labels_an_image(folders, tmp_path):
    keras, _ = import_keras()
    keras.utils.set_random_seed(6)
    end = keras.layers.Dense(2, activation="sigmoid", name="end")
    build(keras, end).save(tmp_path / "dnn.keras")
    for name in ("training", "test"):
        shutil.copytree(folders / name, tmp_path / name)
        paths = sorted(p.relative_to(tmp_path / name) for p in (tmp_path / name).rglob("*.png"))
        rows = [(p.as_posix(), ("a", "b", "a;b")[i % 3]) for i, p in enumerate(paths)]
        write_csv(tmp_path / name / "labels.csv", ("path", "label"), rows)
    measure(tmp_path / "dnn.keras", tmp_path, tmp_path / "run")
    told = read_coverage(tmp_path / "run")
    assert 0 <= told["tests"][0]["accuracy"] < 1
    cells = {row["criterion"]: row["tests"][0]["value"] for row in told["criteria"]}
    assert cells["DSC"] is None
    with pytest.raises(InputError, match="the DNN's classes are none"):
        measure(tmp_path / "dnn.keras", tmp_path, tmp_path / "other", class_="a")


def test_a_batch_that_is_not_a_number_is_named(folders, tmp_path):
    keras, _ = import_keras()
    dnn = build(keras)
    kernel, bias = dnn.get_layer("end").get_weights()
    dnn.get_layer("end").set_weights([kernel, np.full_like(bias, np.nan)])
    dnn.save(tmp_path / "dnn.keras")
    with pytest.raises(InputError, match=r"'end' gives for left/1_01.png.* is not a number"):
        measure(tmp_path / "dnn.keras", folders, tmp_path / "run")
