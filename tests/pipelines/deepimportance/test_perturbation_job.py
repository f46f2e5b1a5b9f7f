"""A perturbed copy of a folder of images: a test set again, and a run folder."""

import shutil

import numpy as np
import pytest
from PIL import Image

from pipelines.data.images import find_files
from pipelines.data.labels import read_truth
from pipelines.deepimportance.perturbation_job import Options, perturb_images
from pipelines.dnn.keras import import_keras
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv, read_pairs, write_csv
from pipelines.runs.manifest import read_manifest, read_status
from tests.heights import draw, quiet
from tests.pipelines.deepimportance.measured import build


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = draw(tmp_path_factory.mktemp("images") / "test", 1, 20)
    Image.open(folder / "left" / "1_01.png").save(folder / "left" / "1_01.jpg")
    (folder / "right" / "bad.png").write_bytes(b"no image")
    return folder


def perturb(model, images, out, *, command=(), overwrite=False, progress=quiet, **options):
    return perturb_images(
        model,
        images,
        out,
        Options(**options),
        progress=progress,
        command=command,
        overwrite=overwrite,
    )


@pytest.mark.parametrize("how", ["gaussian", "gaussian-random", "fgsm", "bim"])
def test_the_result_is_a_test_set_again(model, images, tmp_path, how):
    manifest = perturb(model, images, tmp_path / "out", how=how)
    assert manifest.result == {"images": 21, "unchanged": 0, "labels": "class folders"}
    assert (manifest.images.found, manifest.images.used, manifest.images.rejected) == (22, 21, 1)
    assert list(read_pairs(tmp_path / "out" / "rejected.txt")) == ["right/bad.png"]
    written_names = sorted(
        f.relative_to(tmp_path / "out").as_posix() for f in (tmp_path / "out").rglob("*.png")
    )
    originals = [f.relative_to(images).as_posix() for f in images.rglob("*.[jp]*g")]
    names = [n if n.endswith(".png") else f"{n}.png" for n in originals if "bad" not in n]
    assert written_names == sorted(names)
    truth = read_truth(tmp_path / "out", written_names)
    assert all(label == (path.split("/")[0],) for path, label in truth.values.items())
    before = np.asarray(Image.open(images / "left" / "1_03.png"))
    after = np.asarray(Image.open(tmp_path / "out" / "left" / "1_03.png"))
    assert after.shape == before.shape
    assert (after != before).any()
    assert perturb(model, images, tmp_path / "again", how=how).result == manifest.result
    for name in written_names:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_copies_without_labels_are_noted(model, images, tmp_path):
    (tmp_path / "images").mkdir()
    for file in (images / "left").iterdir():
        shutil.copy(file, tmp_path / "images")
    manifest = perturb(model, tmp_path / "images", tmp_path / "out")
    assert manifest.result["labels"] == ""
    (note,) = manifest.notes
    assert note.startswith("No labels are known: the copies have none")


def test_a_table_of_labels_goes_with_the_images(model, images, tmp_path):
    shutil.copytree(images, tmp_path / "images")
    paths = [
        f.relative_to(tmp_path / "images").as_posix() for f in (tmp_path / "images").rglob("*.*g")
    ]
    write_csv(
        tmp_path / "images" / "labels.csv", ("path", "label"), [(p, p[0] == "l") for p in paths]
    )
    out = tmp_path / "out"
    result = perturb(model, tmp_path / "images", out, how="fgsm").result
    assert result["labels"] == "labels.csv"
    rows = read_csv(out / "labels.csv")
    assert len(rows) == result["images"]
    for row in rows:
        assert (out / row["path"]).is_file()
        assert row["label"] == str(row["path"].startswith("left"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"how": "blur"}, "--how: expected gaussian, gaussian-random, fgsm, bim, received 'blur'"),
        ({"strength": 0}, "--strength: expected a share above 0, at most 1, received 0"),
        ({"strength": 2}, "--strength: expected a share above 0, at most 1, received 2"),
    ],
)
def test_what_cannot_be_used_is_named(model, images, tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        perturb(model, images, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_numbers_cannot_be_attacked(images, tmp_path):
    keras, _ = import_keras()
    build(keras.layers.Dense(1, name="angle")).save(tmp_path / "dnn.keras")
    with pytest.raises(InputError, match="--how bim: expected a DNN that predicts one class"):
        shutil.copytree(images, tmp_path / "images")
        paths = [p.relative_to(tmp_path / "images") for p in (tmp_path / "images").rglob("*.png")]
        rows = [(path.as_posix(), 1.5 * n) for n, path in enumerate(paths)]
        write_csv(tmp_path / "images" / "labels.csv", ("path", "angle"), rows)
        perturb(tmp_path / "dnn.keras", tmp_path / "images", tmp_path / "o", how="bim")


def test_a_class_before_a_sigmoid_is_attacked_where_classes_have_names(images, tmp_path):
    keras, _ = import_keras()
    build(keras.layers.Dense(1, name="logit")).save(tmp_path / "dnn.keras")
    shutil.copytree(images, tmp_path / "images")
    paths = [p.relative_to(tmp_path / "images") for p in (tmp_path / "images").rglob("*.png")]
    rows = [(path.as_posix(), int(path.parent.name == "right")) for path in paths]
    write_csv(tmp_path / "images" / "labels.csv", ("path", "label"), rows)

    def attack(out, **options):
        return perturb(tmp_path / "dnn.keras", tmp_path / "images", out, how="fgsm", **options)

    with pytest.raises(InputError, match="give --classes, a file of two lines"):
        attack(tmp_path / "out")
    (tmp_path / "classes.txt").write_text("0\n1\n")
    manifest = attack(tmp_path / "out", classes=tmp_path / "classes.txt", overwrite=True)
    assert manifest.result["unchanged"] == 0


def test_the_originals_stay(model, images):
    with pytest.raises(InputError, match="one lies inside the other"):
        perturb(model, images, images / "noisy")
    assert not (images / "noisy").exists()


def test_a_perturbed_folder_names_its_originals_and_options(model, images, tmp_path):
    out = tmp_path / "out"
    manifest = perturb(model, images, out, command=["perturb"], seed=3)
    assert read_manifest(out).model_dump_json() == manifest.model_dump_json()
    assert (manifest.job, manifest.ended, manifest.command) == ("perturb", "finished", ["perturb"])
    assert manifest.parameters["seed"] == 3
    assert [stage.name for stage in manifest.stages][-1] == "perturbing images"
    assert (read_status(out).stage, read_status(out).message) == ("ended", "finished")
    rows = read_csv(out / "perturbed.csv")
    assert {row["path"] for row in rows} == set(find_files(out)[0])
    for row in rows:
        assert (images / row["original"]).is_file()
        assert row["path"].startswith(row["original"])


def test_what_is_written_beside_the_images_is_no_image(model, images, tmp_path):
    perturb(model, images, tmp_path / "out")
    paths, rejected = find_files(tmp_path / "out")
    assert (len(paths), rejected) == (21, [])
    (tmp_path / "out" / "run.json").unlink()
    assert set(find_files(tmp_path / "out")[0]) - set(paths) == {
        *("perturbed.csv", "rejected.txt", "status.json")
    }


def test_overwriting_removes_the_images_of_the_earlier_run_alone(model, images, tmp_path):
    out, fewer = tmp_path / "out", tmp_path / "fewer"
    perturb(model, images, out)
    for name in ("notes.txt", "left/mine.png", "labels.txt"):
        (out / name).write_text("mine")
    (tmp_path / "precious.png").write_text("mine")
    table = out / "perturbed.csv"
    table.write_text(table.read_text() + "../precious.png,a.png\n")
    shutil.copytree(images, fewer)
    for file in fewer.glob("right/*"):
        file.unlink()
    with pytest.raises(InputError, match="--overwrite"):
        perturb(model, fewer, out)
    assert (out / "right").is_dir()
    perturb(model, fewer, out, how="gaussian-random", overwrite=True)
    assert not (out / "right").exists()
    assert {row["path"] for row in read_csv(table)} == {
        path for path in find_files(out)[0] if path.endswith(".png")
    } - {"left/mine.png"}
    for name in ("notes.txt", "left/mine.png", "labels.txt", "../precious.png"):
        assert (out / name).read_text() == "mine"


def test_an_image_of_the_user_is_not_replaced(model, images, tmp_path):
    out, more = tmp_path / "out", tmp_path / "more"
    perturb(model, images, out)
    before = {path: (out / path).read_bytes() for path in find_files(out)[0]}
    shutil.copytree(images, more)
    shutil.copy(more / "left" / "1_03.png", more / "left" / "new.png")
    (out / "left" / "new.png").write_text("mine")
    with pytest.raises(InputError, match="exists and is no image of the earlier run"):
        perturb(model, more, out, seed=1, overwrite=True)
    assert (out / "left" / "new.png").read_text() == "mine"
    assert {path: (out / path).read_bytes() for path in before} == before
    assert not (out / ".partial").exists()


@pytest.mark.parametrize("ending", ["interrupted", "killed"])
def test_a_run_that_did_not_end_leaves_the_earlier_one_and_can_be_repeated(
    model, images, tmp_path, ending
):
    out = tmp_path / "out"
    perturb(model, images, out)
    before = {path: (out / path).read_bytes() for path in find_files(out)[0]}

    def interrupt(stage, done, total):
        if stage == "perturbing images" and done:
            assert any((out / ".partial").rglob("*.png"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        perturb(model, images, out, seed=1, overwrite=True, progress=interrupt)
    assert {path: (out / path).read_bytes() for path in find_files(out)[0]} == before
    assert not (out / ".partial").exists()
    if ending == "killed":
        (out / ".partial" / "left").mkdir(parents=True)
        (out / ".partial" / "left" / "old.png").touch()
    perturb(model, images, out, seed=1, overwrite=True)
    assert set(find_files(out)[0]) == set(before)
    assert (out / "left" / "1_03.png").read_bytes() != before["left/1_03.png"]
