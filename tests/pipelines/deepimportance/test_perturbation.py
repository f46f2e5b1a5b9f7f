"""Noisy and adversarial test sets, beside the papers' formulas."""

import numpy as np
import pytest

from pipelines.deepimportance.perturbation import (
    add_noise,
    build_gradient_signs,
    build_perturbing,
    most_relevant,
    random_places,
)
from pipelines.dnn.keras import import_keras
from pipelines.dnn.lrp_plan import INPUT
from pipelines.dnn.model import load_network, scale
from pipelines.dnn.relevance import PREDICTED, build_relevance
from tests.heights import SIZE
from tests.pipelines.deepimportance.measured import build


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    keras, _ = import_keras()
    keras.utils.set_random_seed(3)
    file = tmp_path_factory.mktemp("model") / "dnn.keras"
    build().save(file)
    return file


def pixels(n=6):
    shape = (n, SIZE[1], SIZE[0], 3)
    return np.random.default_rng(5).integers(0, 256, shape).astype(np.uint8)


def test_the_most_relevant_pixels():
    relevance = np.random.default_rng(0).normal(0, 1, (3, 5, 4)).astype(np.float32)
    chosen = most_relevant(relevance, 6)
    for one, places in zip(relevance, chosen, strict=True):
        least = sorted(one.ravel().tolist())[-6]
        assert (places == (one >= least)).all()


def test_noise_of_one_strength_on_as_many_pixels():
    rng = np.random.default_rng(1)
    grey = np.full((40, 30, 30, 3), 128, dtype=np.uint8)
    where = random_places((40, 30, 30), 90, rng)
    assert (where.sum(axis=(1, 2)) == 90).all()
    assert (where[0] != where[1]).any()
    made = add_noise(grey, where, 0.1, rng)
    assert (made[~where] == 128).all()
    moved = made[where].astype(float) - 128
    assert moved.std() == pytest.approx(25.5, rel=0.03)
    assert moved.mean() == pytest.approx(0, abs=0.7)


def test_noise_falls_on_the_pixels_that_decide(model):
    network = load_network(model)
    before = pixels()
    after = build_perturbing(network, "gaussian", seed=2)(before, np.full(6, -1, np.int32))
    explain = build_relevance(network.model, rule="epsilon", layers=(INPUT,))
    relevance = explain(before.astype(np.float32), np.full(6, PREDICTED, np.int32))
    where = most_relevant(relevance.layers[INPUT].sum(axis=3), int(0.02 * SIZE[0] * SIZE[1]))
    changed = (after != before).any(axis=3)
    assert changed.any()
    assert not (changed & ~where).any()


def test_noise_falls_on_what_lowers_an_output_below_0(tmp_path):
    keras, _ = import_keras()
    keras.utils.set_random_seed(3)
    dnn = build(keras.layers.Dense(1, activation="sigmoid", name="end"))
    kernel, _ = dnn.get_layer("end").get_weights()
    dnn.get_layer("end").set_weights([-np.abs(kernel), np.zeros(1, np.float32)])
    dnn.save(tmp_path / "dnn.keras")
    network = load_network(tmp_path / "dnn.keras")
    before = pixels()
    explain = build_relevance(network.model, rule="epsilon", layers=(INPUT,))
    relevances = explain(before.astype(np.float32), np.zeros(6, np.int32))
    assert (relevances.logits < 0).all()
    where = most_relevant(-relevances.layers[INPUT].sum(axis=3), int(0.02 * SIZE[0] * SIZE[1]))
    after = build_perturbing(network, "gaussian", seed=2)(before, np.full(6, -1, np.int32))
    changed = (after != before).any(axis=3)
    assert changed.any()
    assert not (changed & ~where).any()


@pytest.mark.parametrize("scaling", ["none", "caffe"])
def test_signs_are_those_of_the_loss(model, scaling):
    """By differences: what a step along the sign of one pixel does to the cross entropy."""
    network = load_network(model, scaling)
    start = pixels(2).astype(np.float32)
    shown = np.array([0, 1], dtype=np.int32)
    signs = build_gradient_signs(network)(start, shown)

    def loss(values):
        return -np.log(np.asarray(network.model(scale(network, values)), np.float64)[[0, 1], shown])

    rng = np.random.default_rng(3)
    agreed = []
    for _ in range(40):
        y, x, c = rng.integers(0, SIZE[1]), rng.integers(0, SIZE[0]), rng.integers(0, 3)
        up, down = start.copy(), start.copy()
        up[:, y, x, c] += 0.5
        down[:, y, x, c] -= 0.5
        slope = loss(up) - loss(down)
        sure = np.abs(slope) > 1e-5
        agreed += (np.sign(slope) == signs[:, y, x, c])[sure].tolist()
    assert len(agreed) > 20
    assert np.mean(agreed) > 0.9  # kinks of ReLU and pooling lie in between


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_signs_of_one_output_that_is_sure(tmp_path, activation):
    """The loss falls for class 1 where the output rises, and the other way round for class 0."""
    keras, _ = import_keras()
    keras.utils.set_random_seed(3)
    dnn = build(keras.layers.Dense(1, activation=activation, name="end"))
    file = tmp_path / "dnn.keras"
    by_case = {}
    for sure in (0, 30, -30):
        dnn.get_layer("end").set_weights([dnn.get_layer("end").get_weights()[0], np.full(1, sure)])
        dnn.save(file)
        signs = build_gradient_signs(load_network(file))
        for shown in (0, 1):
            by_case[sure, shown] = signs(pixels().astype(np.float32), np.full(6, shown, np.int32))
    assert np.any(by_case[0, 0], axis=(1, 2, 3)).all()
    for sure in (0, 30, -30):
        assert (by_case[sure, 0] == by_case[0, 0]).mean() > 0.999
        assert (by_case[sure, 1] == -by_case[0, 0]).mean() > 0.999


@pytest.mark.parametrize("how", ["fgsm", "bim"])
def test_attacks_raise_the_loss_and_keep_their_bounds(model, how):
    network = load_network(model)
    before = pixels(8)
    outputs = np.asarray(network.model(before.astype(np.float32)))
    shown = outputs.argmax(axis=1).astype(np.int32)
    after = build_perturbing(network, how, 0.05)(before, shown)
    assert np.abs(after.astype(int) - before).max() == 13  # 12.75, rounded
    attacked = np.asarray(network.model(after.astype(np.float32)))
    assert (attacked[np.arange(8), shown] < outputs[np.arange(8), shown]).all()
    guessed = build_perturbing(network, how, 0.05)(before, np.full(8, -1, np.int32))
    assert (guessed == after).all()


def test_fgsm_is_one_step_along_the_signs(model):
    network = load_network(model)
    before = pixels(3)
    shown = np.array([0, 1, 1], dtype=np.int32)
    signs = build_gradient_signs(network)(before.astype(np.float32), shown)
    expected = np.clip(np.round(before + 0.1 * 255 * signs), 0, 255)
    assert (build_perturbing(network, "fgsm")(before, shown) == expected).all()


@pytest.mark.parametrize("how", ["gaussian", "gaussian-random", "fgsm", "bim"])
def test_the_result_is_a_test_set_again(model, images, tmp_path, how):
    perturbed = perturb_images(model, images, tmp_path / "out", Asked(how), quiet)
    assert (perturbed.images, perturbed.unchanged, perturbed.labels) == (21, 0, "class folders")
    assert [file.path for file in perturbed.rejected] == ["right/bad.png"]
    made = sorted(
        f.relative_to(tmp_path / "out").as_posix() for f in (tmp_path / "out").rglob("*.png")
    )
    originals = [f.relative_to(images).as_posix() for f in images.rglob("*.[jp]*g")]
    names = [n if n.endswith(".png") else f"{n}.png" for n in originals if "bad" not in n]
    assert made == sorted(names)
    truth = read_truth(tmp_path / "out", made)
    assert all(label == (path.split("/")[0],) for path, label in truth.values.items())
    before = np.asarray(Image.open(images / "left" / "1_03.png"))
    after = np.asarray(Image.open(tmp_path / "out" / "left" / "1_03.png"))
    assert after.shape == before.shape
    assert (after != before).any()
    again = perturb_images(model, images, tmp_path / "again", Asked(how), quiet)
    assert again == perturbed
    for name in made:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_table_of_labels_goes_with_the_images(model, images, tmp_path):
    shutil.copytree(images, tmp_path / "images")
    paths = [
        f.relative_to(tmp_path / "images").as_posix() for f in (tmp_path / "images").rglob("*.*g")
    ]
    write_csv(
        tmp_path / "images" / "labels.csv", ("path", "label"), [(p, p[0] == "l") for p in paths]
    )
    out = tmp_path / "out"
    perturbed = perturb_images(model, tmp_path / "images", out, Asked("fgsm"), quiet)
    assert perturbed.labels == "labels.csv"
    rows = read_csv(out / "labels.csv")
    assert len(rows) == perturbed.images
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
        perturb_images(model, images, tmp_path / "out", Asked(**options), quiet)


def test_numbers_cannot_be_attacked(images, tmp_path):
    keras, _ = import_keras()
    build(keras.layers.Dense(1, name="angle")).save(tmp_path / "dnn.keras")
    with pytest.raises(InputError, match="--how bim needs a DNN that predicts one class"):
        shutil.copytree(images, tmp_path / "images")
        paths = [p.relative_to(tmp_path / "images") for p in (tmp_path / "images").rglob("*.png")]
        rows = [(path.as_posix(), 1.5 * n) for n, path in enumerate(paths)]
        write_csv(tmp_path / "images" / "labels.csv", ("path", "angle"), rows)
        perturb_images(
            tmp_path / "dnn.keras", tmp_path / "images", tmp_path / "o", Asked("bim"), quiet
        )


def test_a_class_before_a_sigmoid_is_attacked_where_classes_have_names(images, tmp_path):
    keras, _ = import_keras()
    build(keras.layers.Dense(1, name="logit")).save(tmp_path / "dnn.keras")
    shutil.copytree(images, tmp_path / "images")
    paths = [p.relative_to(tmp_path / "images") for p in (tmp_path / "images").rglob("*.png")]
    rows = [(path.as_posix(), int(path.parent.name == "right")) for path in paths]
    write_csv(tmp_path / "images" / "labels.csv", ("path", "label"), rows)

    def attack(**options):
        attack_options = Asked("fgsm", **options)
        return perturb_images(
            tmp_path / "dnn.keras", tmp_path / "images", tmp_path / "out", attack_options, quiet
        )

    with pytest.raises(InputError, match="give --classes, a file of two lines"):
        attack()
    (tmp_path / "classes.txt").write_text("0\n1\n")
    assert attack(classes=tmp_path / "classes.txt").unchanged == 0


def test_the_originals_stay(model, images):
    with pytest.raises(InputError, match="lies among the images"):
        perturb_images(model, images, images / "noisy", Asked(), quiet)
