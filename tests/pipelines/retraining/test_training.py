"""Holding out, the recipe of a model file, and pictures that do not fit into memory."""

from collections import Counter

import numpy as np
import pytest

from pipelines.dnn.keras import import_keras
from pipelines.dnn.model import load_network
from pipelines.retraining.examples import Pictures, gather_set
from pipelines.retraining.recipe import LEARNING_RATE, read_recipe
from pipelines.retraining.training import Options, _seed, hold_out

WARM_UP = {
    "initial_learning_rate": 0.0, "decay_steps": 9, "warmup_target": 0.01, "warmup_steps": 3
}  # fmt: skip


def quiet(done, total):
    """Ignore progress."""


@pytest.mark.parametrize("seed", range(4))
def test_of_each_label_a_share_is_held_out_and_one_image_stays(seed):
    rng = np.random.default_rng(seed)
    labels = [str(n) for n in rng.integers(0, 5, 60)] + ["alone"]
    training, validation = hold_out(labels, 0.3, rng)
    assert sorted([*training, *validation]) == list(range(61))
    sizes, out = Counter(labels), Counter(labels[place] for place in validation)
    for label, size in sizes.items():
        assert abs(out[label] - 0.3 * size) < 1
        assert out[label] < size


def test_small_labels_have_their_share_in_the_sum():
    labels = [str(n) for n in range(300) for _ in range(2)]
    _, validation = hold_out(labels, 0.2, np.random.default_rng(0))
    assert 90 < len(validation) < 150


def network(tmp_path, *, end="softmax", units=2, settings=None):
    keras, _ = import_keras()
    model = keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(units, activation=end),
        ]
    )
    if settings:
        model.compile(**settings)
    model.save(tmp_path / "dnn.keras")
    return load_network(tmp_path / "dnn.keras")


def test_optimiser_and_loss_of_the_file_are_used(tmp_path):
    keras, _ = import_keras()
    settings = {
        "optimizer": keras.optimizers.SGD(0.02, momentum=0.7),
        "loss": keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
    }
    recipe = read_recipe(network(tmp_path, settings=settings), "classes", None)
    assert recipe.optimizer == "SGD"
    assert recipe.learning_rate == pytest.approx(0.02)
    assert recipe.make_optimizer().momentum == pytest.approx(0.7)
    assert not recipe.sparse_targets
    target, output = np.array([[1.0, 0]]), np.array([[0.8, 0.2]])
    loss_with_smoothing = -(0.95 * np.log(0.8) + 0.05 * np.log(0.2))
    assert float(recipe.loss(target, output)) == pytest.approx(loss_with_smoothing, rel=1e-5)
    assert set(recipe.sources.values()) == {"the model file's"}


def test_a_schedule_gives_the_rate_at_its_start(tmp_path):
    keras, _ = import_keras()
    schedule = keras.optimizers.schedules.ExponentialDecay(0.05, 100, 0.9)
    settings = {"optimizer": keras.optimizers.Adam(schedule), "loss": "categorical_crossentropy"}
    recipe = read_recipe(network(tmp_path, settings=settings), "classes", None)
    assert recipe.learning_rate == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("schedule", "rate"),
    [
        (("CosineDecay", WARM_UP), 0.01),
        (("PiecewiseConstantDecay", {"boundaries": [5], "values": [0.03, 0.01]}), 0.03),
        ((None, 0.0), LEARNING_RATE),
    ],
)  # fmt: skip
def test_schedules_of_all_kinds(tmp_path, schedule, rate):
    keras, _ = import_keras()
    kind, parameters = schedule
    rate_or_schedule = (
        getattr(keras.optimizers.schedules, kind)(**parameters) if kind else parameters
    )
    settings = {"optimizer": keras.optimizers.SGD(rate_or_schedule), "loss": "mse"}
    recipe = read_recipe(network(tmp_path, settings=settings), "classes", None)
    assert recipe.learning_rate == pytest.approx(rate)


def test_a_loss_may_have_any_name(tmp_path):
    keras, _ = import_keras()
    loss = keras.losses.SparseCategoricalCrossentropy(name="mine")
    recipe = read_recipe(network(tmp_path, settings={"loss": loss}), "classes", None)
    assert (recipe.loss_name, recipe.sparse_targets) == ("mine", True)
    recipe = read_recipe(
        network(tmp_path, settings={"loss": ["categorical_hinge"]}), "classes", None
    )
    assert (recipe.loss_name, recipe.sparse_targets) == ("categorical_hinge", False)


def test_a_loss_that_cannot_be_used_is_replaced_and_a_note_says_so(tmp_path):
    keras, _ = import_keras()

    @keras.saving.register_keras_serializable("ours")
    def focal(target, output):
        return -(target * (1 - output) ** 2 * keras.ops.log(output))

    network_of_file = network(tmp_path, settings={"loss": focal, "optimizer": "sgd"})
    keras.saving.get_custom_objects().pop("ours>focal")
    recipe = read_recipe(network_of_file, "classes", None)
    assert recipe.sources["loss"] == "the default"
    assert recipe.notes == (
        f"The model file's loss is replaced by {recipe.loss_name}: it is ours>focal, which is not "
        "one of Keras that trains a single output. The retrained model differs for that, too.",
    )
    assert read_recipe(network(tmp_path), "classes", None).notes == ()
    assert read_recipe(network(tmp_path, settings={"loss": "mse"}), "numbers", None).notes == ()


def test_every_random_layer_is_seeded_for_each_epoch():
    keras, _ = import_keras()
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.RandomFlip(),
            keras.layers.RandomTranslation(0.3, 0.3),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
        ]
    )
    pixels = np.random.default_rng(0).random((4, 8, 8, 3)).astype(np.float32)
    runs = []
    for epoch in (1, 1, 2):
        _seed(model, 3, epoch)
        runs.append([np.asarray(model(pixels, training=True)) for _ in range(2)])
    assert (np.array(runs[0]) == np.array(runs[1])).all()
    assert not (np.array(runs[0]) == np.array(runs[2])).all()


@pytest.mark.parametrize(
    ("end", "units", "task", "loss", "sparse_targets"),
    [
        ("softmax", 3, "classes", "sparse_categorical_crossentropy", True),
        ("sigmoid", 1, "classes", "binary_crossentropy", False),
        ("sigmoid", 3, "several", "binary_crossentropy", False),
        ("linear", 2, "numbers", "mean_squared_error", False),
    ],
)
def test_defaults_are_used_for_what_the_file_does_not_say(
    tmp_path, end, units, task, loss, sparse_targets
):
    recipe = read_recipe(network(tmp_path, end=end, units=units), task, None)
    assert (recipe.loss_name, recipe.sparse_targets) == (loss, sparse_targets)
    assert recipe.learning_rate == LEARNING_RATE
    assert set(recipe.sources.values()) == {"the default"}


def test_logits_are_taken_as_logits(tmp_path):
    recipe = read_recipe(network(tmp_path, end="linear", units=3), "classes", None)
    outputs = np.array([[2.0, -1.0, 0.5]])
    shares = np.exp(outputs) / np.exp(outputs).sum()
    loss = float(recipe.loss(np.array([1]), outputs))
    assert loss == pytest.approx(-np.log(shares[0, 1]), rel=1e-5)


def test_an_older_file_is_read(tmp_path):
    keras, _ = import_keras()
    model = keras.Sequential(
        [keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    model.compile(keras.optimizers.RMSprop(0.004), keras.losses.Huber())
    model.save(tmp_path / "dnn.h5")
    recipe = read_recipe(load_network(tmp_path / "dnn.h5", "0-1"), "numbers", None)
    assert (recipe.optimizer, recipe.loss_name) == ("RMSprop", "huber_loss")
    assert recipe.learning_rate == pytest.approx(0.004)


def test_pictures_are_the_same_from_memory_and_from_disk(spots):
    examples = gather_set("training", spots.train, quiet).examples
    net = load_network(spots.model)
    order = np.random.default_rng(0).permutation(len(examples))
    inside, outside = Pictures(net, examples, quiet), Pictures(net, examples, quiet, kept=0)
    pairs = zip(inside.batches(order, 7), outside.batches(order, 7), strict=True)
    sizes = []
    for (places, pixels), (others, pixels_of_files) in pairs:
        assert places.tolist() == others.tolist()
        assert (pixels == pixels_of_files).all()
        sizes.append(len(places))
    assert sizes == [7] * 11 + [3]


def test_augmentation_is_off_unless_asked_for_and_seeded(spots):
    from pipelines.retraining.training import TrainingData, _batches

    examples = gather_set("training", spots.train, quiet).examples
    pictures = Pictures(load_network(spots.model), examples, quiet)
    places = np.arange(len(examples), dtype=np.intp)
    sets = TrainingData(pictures, places, places, places[:1], lambda outputs: 0.0)

    def pixels(epoch, **options):
        return np.concatenate([x for x, _ in _batches(sets, Options(seed=3, **options), epoch)])

    plain = pixels(1)
    assert (plain == pixels(1)).all()
    augmentation = pixels(1, augment=True)
    assert (augmentation == pixels(1, augment=True)).all()
    assert np.abs(augmentation - plain).mean() > 3
    assert not (augmentation == pixels(2, augment=True)).all()
