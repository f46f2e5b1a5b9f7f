"""Labels and folders of coverage: what is noted, and what is refused."""

import shutil

import numpy as np
import pytest
from PIL import Image

from pipelines.deepimportance.results import read_coverage
from pipelines.dnn.keras import import_keras
from pipelines.runs.errors import InputError
from tests.heights import draw
from tests.pipelines.deepimportance.measured import build, document_of, measure


def test_accuracy_where_there_are_labels(coverage_run, measurements):
    for name, test in zip(("test", "other/test"), document_of(coverage_run)["tests"], strict=True):
        paths, outputs = measurements[name][:2]
        right = [
            ("left", "right")[k] == p.split("/")[0]
            for p, k in zip(paths, outputs.argmax(axis=1), strict=True)
        ]
        assert test["accuracy"] == pytest.approx(np.mean(right), abs=1e-4)


def test_another_order_of_the_classes_is_noted(folders, tmp_path):
    """The DNN has left last; sorted, it comes first."""
    keras, _ = import_keras()
    keras.utils.set_random_seed(3)
    dnn = build()
    files_and_classes = [
        (file, file.parent.name) for file in sorted((folders / "training").rglob("*.png"))
    ]
    pixels = np.stack([np.asarray(Image.open(file)) for file, _ in files_and_classes]).astype(
        np.float32
    )
    dnn.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    dnn.fit(
        pixels, np.array([name == "left" for _, name in files_and_classes]), epochs=8, verbose=0
    )
    dnn.save(tmp_path / "dnn.keras")
    manifest = measure(tmp_path / "dnn.keras", folders, tmp_path / "run", neurons=4)
    assert "With the classes in another order" in " ".join(manifest.notes)
    (tmp_path / "classes.txt").write_text("right\nleft\n")
    options = {"classes": tmp_path / "classes.txt", "overwrite": True, "neurons": 4}
    manifest = measure(tmp_path / "dnn.keras", folders, tmp_path / "run", **options)
    assert "another order" not in " ".join(manifest.notes)
    assert document_of(tmp_path / "run")["tests"][0]["accuracy"] > 0.8


def test_images_without_labels(model, folders, tmp_path):
    for name in ("training", "test"):
        (tmp_path / name).mkdir()
        for file in (folders / name).rglob("*.png"):
            shutil.copy(file, tmp_path / name / f"{file.parent.name} {file.name}")
    manifest = measure(model, tmp_path, tmp_path / "run")
    training, test = [note for note in manifest.notes if note.startswith("No labels of ")]
    assert training.startswith("No labels of training are known: --class needs them")
    assert test.startswith("No labels of test are known: its coverage is measured, but not how")
    assert all(
        note.endswith("from labels.csv, or from class folders.") for note in (training, test)
    )
    test = document_of(tmp_path / "run")["tests"][0]
    assert test["accuracy"] is None
    assert test["images"] == 24
    with pytest.raises(InputError, match=r"--class: the images of .*training have no labels"):
        measure(model, tmp_path, tmp_path / "other", class_="left")


def test_test_images_that_lack_a_label_are_noted(model, folders, tmp_path):
    shutil.copytree(folders / "training", tmp_path / "training")
    shutil.copytree(folders / "test", tmp_path / "test")
    shutil.copy(tmp_path / "test" / "left" / "bad.png", tmp_path / "test")
    shutil.copy(next((tmp_path / "test" / "right").iterdir()), tmp_path / "test")
    notes = measure(model, tmp_path, tmp_path / "run").notes
    words = "1 image of test without a label: measured, but not counted in its accuracy."
    assert [note for note in notes if "label" in note] == [words]


def test_folders_that_are_no_classes_are_noted(model, folders, tmp_path):
    shutil.copytree(folders / "training", tmp_path / "training")
    draw(tmp_path / "test", 2, 20)
    (tmp_path / "training" / "camera 3").mkdir()
    shutil.copy(next((tmp_path / "training").rglob("*.png")), tmp_path / "training" / "camera 3")
    manifest = measure(model, tmp_path, tmp_path / "run")
    assert "are not taken as classes" in manifest.notes[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layer": "pool"}, r"'pool' is no layer with neurons. Choose among conv \(4\), hidden"),
        ({"neurons": 9}, "expected 1 to 8, as layer 'hidden' has 8 neurons, received 9"),
        ({"neurons": 0}, "--neurons: expected 1 to 8, as layer 'hidden' has 8 neurons, received 0"),
        ({"clusters": 1}, "--clusters: expected 2 to 255, received 1"),
        ({"clusters": 81}, "81 clusters need as many training images, received 80"),
        ({"rule": "best"}, r"--rule: expected epsilon, z\+, alpha-beta, received 'best'"),
        ({"class_": "up"}, "has no image of the class 'up'. Its labels are left, right"),
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
    assert "3 of 27 images of test also among the training images" in notes
    assert "80 of 80 images of training (2) also among the training images" in notes


def test_images_and_run_are_apart(model, folders):
    with pytest.raises(InputError, match="need separate folders"):
        measure(model, folders, folders / "test" / "run")


def test_a_folder_without_an_image(model, folders, tmp_path):
    shutil.copytree(folders / "training", tmp_path / "training")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "a.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="holds no usable image"):
        measure(model, tmp_path, tmp_path / "run")


def test_an_earlier_run_stays_when_the_new_one_fails(coverage_run, model, folders, tmp_path):
    shutil.copytree(coverage_run, tmp_path / "run")
    before = (tmp_path / "run" / "coverage.json").read_bytes()
    with pytest.raises(InputError, match="no layer with neurons"):
        measure(model, folders, tmp_path / "run", overwrite=True, layer="pool")
    assert (tmp_path / "run" / "coverage.json").read_bytes() == before
    measure(model, folders, tmp_path / "run", overwrite=True)
    assert not (tmp_path / "run" / "widening.csv").exists()


def test_a_damaged_document_is_named(coverage_run, tmp_path):
    shutil.copytree(coverage_run, tmp_path / "run")
    (tmp_path / "run" / "coverage.json").write_text("[]")
    with pytest.raises(InputError, match=r"coverage.json is not as the tool writes it"):
        read_coverage(tmp_path / "run")


def test_a_batch_that_is_not_a_number_is_named(folders, tmp_path):
    dnn = build()
    kernel, bias = dnn.get_layer("end").get_weights()
    dnn.get_layer("end").set_weights([kernel, np.full_like(bias, np.nan)])
    dnn.save(tmp_path / "dnn.keras")
    with pytest.raises(InputError, match=r"'end' gives for left/1_01.png.* is not a finite number"):
        measure(tmp_path / "dnn.keras", folders, tmp_path / "run")
