"""The store that keeps features: bit for bit, never mixed, and named where it is damaged."""

import hashlib
import sqlite3

import numpy as np
import pytest

from pipelines.runs.errors import InputError
from pipelines.safe import store
from pipelines.safe.store import open_store

WIDTH = 5


def names(*numbers):
    return [hashlib.sha256(bytes([number])).hexdigest() for number in numbers]


def test_features_come_back_bit_for_bit_in_the_order_asked(cache):
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, (6, WIDTH), dtype=np.uint32)
    bits &= np.uint32(0xFF7FFFFF)  # no infinity and no NaN: any other float32, denormal ones too
    rows = bits.view(np.float32)
    with open_store(cache, "w", ("a",), "float32", WIDTH) as feature_store:
        feature_store.write(names(*range(6)), rows)
    with open_store(cache, "w", ("a",), "float32", WIDTH) as feature_store:
        vectors = feature_store.read(names(4, 0, 5, 0))
        assert vectors.dtype == np.float32
        assert np.array_equal(vectors.view(np.uint32), bits[[4, 0, 5, 0]])
        assert feature_store.read([]).shape == (0, WIDTH)


def test_what_is_missing_is_told(feature_store):
    feature_store.write(names(1, 2), np.ones((2, WIDTH), dtype=np.float32))
    assert feature_store.missing(names(1, 2, 3, 4, 3)) == set(names(3, 4))
    assert feature_store.missing([]) == set()


def test_what_was_stored_first_stays(feature_store):
    feature_store.write(names(1), np.full((1, WIDTH), 1, dtype=np.float32))
    feature_store.write(names(1, 2), np.full((2, WIDTH), 2, dtype=np.float32))
    assert feature_store.read(names(1, 2))[:, 0].tolist() == [1, 2]


def test_weights_layers_and_precisions_are_never_mixed(cache):
    keys = [
        ("w", ("a", "b"), "float32"),
        ("w", ("b", "a"), "float32"),
        ("w", ("a",), "float32"),
        ("w", ("a", "b"), "bfloat16"),
        ("x", ("a", "b"), "float32"),
    ]
    for number, key in enumerate(keys):
        with open_store(cache, *key, WIDTH) as feature_store:
            assert feature_store.missing(names(1)) == set(names(1))
            feature_store.write(names(1), np.full((1, WIDTH), number, dtype=np.float32))
    for number, key in enumerate(keys):
        with open_store(cache, *key, WIDTH) as feature_store:
            assert feature_store.missing(names(1)) == set()
            assert feature_store.read(names(1)).tolist() == [[number] * WIDTH]
    assert store.STORE_FILE in {path.name for path in cache.iterdir()}


@pytest.mark.parametrize("width", [1, WIDTH - 1, WIDTH + 1, 2 * WIDTH])
def test_features_of_another_width_cannot_go_unnoticed(cache, width):
    with (
        pytest.raises(ValueError),
        open_store(cache, "w", ("a",), "float32", WIDTH) as feature_store,
    ):
        feature_store.write(names(1), np.ones((1, width), dtype=np.float32))
        feature_store.read(names(1))


def test_a_batch_that_fails_half_way_leaves_none_of_its_rows(cache):
    with open_store(cache, "w", ("a",), "float32", WIDTH) as feature_store:
        feature_store.write(names(1), np.ones((1, WIDTH), dtype=np.float32))
    with sqlite3.connect(cache / store.STORE_FILE) as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON features "
            f"WHEN NEW.image = '{names(4)[0]}' BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    connection.close()
    with (
        pytest.raises(InputError, match="disk full"),
        open_store(cache, "w", ("a",), "float32", WIDTH) as feature_store,
    ):
        feature_store.write(names(2, 3, 4, 5), np.ones((4, WIDTH), dtype=np.float32))
    with open_store(cache, "w", ("a",), "float32", WIDTH) as feature_store:
        assert feature_store.missing(names(1, 2, 3, 4, 5)) == set(names(2, 3, 4, 5))


DAMAGED_ROWS = {
    "short": b"\x00" * 4 * (WIDTH - 1),
    "not whole": b"\x00" * (4 * WIDTH - 1),
    "long": b"\x00" * 4 * (WIDTH + 1),
    "empty": b"",
    "text": "x" * 4 * WIDTH,
    "nothing": None,
    "a number": 7,
    "NaN": np.array([1, 2, np.nan, 4, 5], "<f4").tobytes(),
    "infinite": np.array([1, 2, -np.inf, 4, 5], "<f4").tobytes(),
}


@pytest.mark.parametrize("vector", DAMAGED_ROWS.values(), ids=DAMAGED_ROWS)
def test_a_damaged_row_counts_as_missing_and_is_written_anew(cache, vector):
    rows = np.arange(3 * WIDTH, dtype=np.float32).reshape(3, WIDTH)
    with open_store(cache, "w", ("a",), "float32", WIDTH) as feature_store:
        feature_store.write(names(1, 2, 3), rows)
    with sqlite3.connect(cache / store.STORE_FILE) as connection:
        connection.execute("UPDATE features SET vector = ? WHERE image = ?", (vector, *names(2)))
    connection.close()
    with open_store(cache, "w", ("a",), "float32", WIDTH) as feature_store:
        assert feature_store.missing(names(1, 2, 3, 4)) == set(names(2, 4))
        feature_store.write(names(2), rows[1:2])
        assert feature_store.missing(names(1, 2, 3)) == set()
        assert np.array_equal(feature_store.read(names(1, 2, 3)), rows)


def test_text_that_is_not_utf_8_is_damage_to_one_row(cache):
    with open_store(cache, "w", ("a",), "float32", WIDTH) as feature_store:
        feature_store.write(names(1, 2), np.ones((2, WIDTH), dtype=np.float32))
    with sqlite3.connect(cache / store.STORE_FILE) as connection:
        connection.execute("UPDATE features SET vector = CAST(x'ff80' AS TEXT) WHERE image = ?",
                           names(2))  # fmt: skip
    connection.close()
    with open_store(cache, "w", ("a",), "float32", WIDTH) as feature_store:
        assert feature_store.missing(names(1, 2)) == set(names(2))


def test_more_names_than_rows_store_nothing(feature_store):
    with pytest.raises(ValueError):
        feature_store.write(names(1, 2, 3), np.ones((2, WIDTH), dtype=np.float32))
    assert feature_store.missing(names(1, 2, 3)) == set(names(1, 2, 3))


def test_an_error_of_the_caller_is_passed_on(cache):
    with (
        pytest.raises(ZeroDivisionError),
        open_store(cache, "w", ("a",), "float32", WIDTH) as feature_store,
    ):
        feature_store.write(
            names(1), np.full((1, WIDTH), 1 // len(feature_store.missing([])), dtype=np.float32)
        )


def assert_names_the_store(error, cache):
    assert str(cache / store.STORE_FILE) in str(error.value)
    assert "SAFE_CACHE" in str(error.value)


@pytest.mark.parametrize("damage", ["garbage", "cut short", "overwritten inside", "another table"])
def test_a_damaged_store_is_named(cache, damage):
    path = cache / store.STORE_FILE
    many = [f"{number:064x}" for number in range(300)]
    with open_store(cache, "w", ("a",), "float32", WIDTH) as feature_store:
        feature_store.write(many, np.ones((300, WIDTH), dtype=np.float32))
    content = path.read_bytes()
    assert len(content) > 40_000
    if damage == "garbage":
        path.write_bytes(b"no database at all " * 100)
    elif damage == "cut short":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "overwritten inside":
        path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    else:
        path.unlink()
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE features (name TEXT)")
        connection.close()
    with (
        pytest.raises(InputError) as error,
        open_store(cache, "w", ("a",), "float32", WIDTH) as feature_store,
    ):
        feature_store.missing(many)
        feature_store.read(many)
    assert_names_the_store(error, cache)


def test_a_store_in_a_folder_that_is_not_there_is_named(tmp_path):
    with (
        pytest.raises(InputError) as error,
        open_store(tmp_path / "nowhere", "w", ("a",), "float32", WIDTH),
    ):
        pass
    assert_names_the_store(error, tmp_path / "nowhere")


def test_a_full_disk_is_named_as_the_cache_and_what_was_stored_is_kept(full_disk):
    width = 2000
    rows = np.ones((30, width), np.float32)
    with (
        pytest.raises(
            InputError, match=f"disk of the cache folder {full_disk} is full.*SAFE_CACHE"
        ),
        open_store(full_disk, "w", ("a",), "float32", width) as feature_store,
    ):
        feature_store.write(names(0), rows[:1])
        feature_store.write(names(*range(1, 31)), rows)
    with open_store(full_disk, "w", ("a",), "float32", width) as feature_store:
        assert feature_store.missing(names(0, 1)) == set(names(1))
