"""Distances of heatmaps against Equations 1 to 4 in plain loops."""

import io
import math

import numpy as np
import pytest

from pipelines.hudd import distances
from pipelines.hudd.distances import (
    HeatmapWriter,
    find_value_range,
    measure_cluster_distances,
    measure_distances,
    measure_distances_between,
    open_heatmaps,
)
from pipelines.runs.files import atomic_write
from pipelines.unsafe_set.allocation import cluster_distances


def equations_1_to_4(heatmaps):
    rows = heatmaps.tolist()
    lowest = min(min(row) for row in rows)
    highest = max(max(row) for row in rows)
    unit_heatmaps = [[(entry - lowest) / (highest - lowest) for entry in row] for row in rows]
    return np.array([[math.dist(a, b) for b in unit_heatmaps] for a in unit_heatmaps])


def draw(n, d, seed=0):
    rng = np.random.default_rng(seed)
    patterns = rng.gamma(0.3, 1, (4, d))
    return (patterns[rng.integers(0, 4, n)] * rng.gamma(4, 0.25, (n, d)) - 0.2).astype(np.float32)


def write(path, heatmaps, batch=7):
    with atomic_write(path) as file:
        writer = HeatmapWriter(file, *heatmaps.shape)
        for start in range(0, len(heatmaps), batch):
            writer.append(heatmaps[start : start + batch])
        limits = writer.finish()
    return limits


@pytest.fixture
def small_blocks(monkeypatch):
    """Let every loop over blocks, rows and tiles run several times."""
    monkeypatch.setattr(distances, "NARROWEST", 5)
    monkeypatch.setattr(distances, "BLOCK", 50)
    monkeypatch.setattr(distances, "TILE", 170)
    monkeypatch.setattr(distances, "TOGETHER", 7)
    monkeypatch.setattr(distances, "ROWS", 4)


# --- files ------------------------------------------------------------------------------------


def test_heatmaps_come_back_as_they_were_written(tmp_path):
    heatmaps = draw(40, 30)
    limits = write(tmp_path / "layer.npy", heatmaps)
    memory_map = open_heatmaps(tmp_path / "layer.npy")
    assert isinstance(memory_map, np.memmap) and distances._on_disk(memory_map)
    np.testing.assert_array_equal(memory_map, heatmaps)
    np.testing.assert_array_equal(np.load(tmp_path / "layer.npy"), heatmaps)
    assert limits == (heatmaps.min(), heatmaps.max()) == find_value_range(memory_map)


def test_heatmaps_of_several_axes_are_written_flat(tmp_path):
    heatmaps = draw(6, 24)
    with (tmp_path / "layer.npy").open("wb") as file:
        HeatmapWriter(file, 6, 24).append(heatmaps.reshape(6, 2, 3, 4))
    np.testing.assert_array_equal(open_heatmaps(tmp_path / "layer.npy"), heatmaps)


def test_a_writer_refuses_other_numbers_or_sizes_of_heatmaps():
    writer = HeatmapWriter(io.BytesIO(), 3, 4)
    with pytest.raises(ValueError, match="expected 4 entries each, received 5"):
        writer.append(np.ones((1, 5), np.float32))
    with pytest.raises(ValueError, match="finite"):
        writer.append(np.array([[1, 2, 3, np.nan]], np.float32))
    with pytest.raises(ValueError, match="finite"):
        writer.append(np.array([[1, 2, 3, np.inf]], np.float32))
    writer.append(np.full((2, 4), 3, np.float32))
    writer.append(np.empty((0, 4), np.float32))
    with pytest.raises(ValueError, match="expected 3, received more"):
        writer.append(np.ones((2, 4), np.float32))
    with pytest.raises(ValueError, match="expected 3, received 2"):
        writer.finish()
    writer.append(np.full((1, 4), -1, np.float32))
    assert writer.finish() == (-1, 3)


def test_a_part_of_a_file_is_not_read(tmp_path):
    write(tmp_path / "layer.npy", draw(40, 30))
    memory_map = open_heatmaps(tmp_path / "layer.npy")
    whole = (tmp_path / "layer.npy").read_bytes()
    (tmp_path / "part.npy").write_bytes(whole[:-100])
    with pytest.raises(ValueError):
        open_heatmaps(tmp_path / "part.npy")
    np.save(tmp_path / "other.npy", np.zeros((3, 4)))
    with pytest.raises(ValueError, match="expected rows of float32"):
        open_heatmaps(tmp_path / "other.npy")
    (tmp_path / "layer.npy").write_bytes(whole[:-100])  # while it is open
    with pytest.raises(ValueError, match="cut short"):
        measure_distances(memory_map)


# --- distances --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_distances_equal_the_equations(seed):
    heatmaps = draw(25, 60, seed)
    matrix = measure_distances(heatmaps)
    assert matrix.dtype == np.float32
    np.testing.assert_allclose(matrix, equations_1_to_4(heatmaps), rtol=1e-4, atol=1e-7)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert not matrix.diagonal().any()


@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1, 1e18])
@pytest.mark.parametrize("offset", [0, 1000])
def test_neither_scale_nor_offset_matters(small_blocks, scale, offset):
    heatmaps = ((np.round(draw(23, 37), 2) + offset) * scale).astype(np.float32)
    expected = equations_1_to_4(heatmaps.astype(np.float64))
    np.testing.assert_allclose(measure_distances(heatmaps), expected, rtol=1e-4, atol=1e-7)


def test_blocks_make_no_difference(small_blocks):
    heatmaps = draw(23, 37)
    np.testing.assert_allclose(
        measure_distances(heatmaps), equations_1_to_4(heatmaps), rtol=1e-4, atol=1e-7
    )


def test_a_memory_map_gives_what_an_array_gives(tmp_path, small_blocks):
    heatmaps = draw(23, 37)
    heatmaps[5] = heatmaps[4] * 1.0001  # computed again, from some of the rows
    limits = write(tmp_path / "layer.npy", heatmaps)
    memory_map = open_heatmaps(tmp_path / "layer.npy")
    expected = measure_distances(heatmaps)
    np.testing.assert_array_equal(measure_distances(memory_map), expected)
    np.testing.assert_array_equal(measure_distances(memory_map, limits), expected)
    # A part of a map has the file name of the whole.
    np.testing.assert_array_equal(
        measure_distances(memory_map[3:, 2:]), measure_distances(heatmaps[3:, 2:])
    )
    np.testing.assert_array_equal(
        measure_distances(np.load(tmp_path / "layer.npy", mmap_mode="c")), expected
    )


def test_near_duplicates_keep_their_small_distances(small_blocks):
    rng = np.random.default_rng(3)
    heatmaps = np.repeat(draw(8, 60), 3, axis=0) * (1 + 1e-4 * rng.normal(size=(24, 60)))
    heatmaps = heatmaps.astype(np.float32)
    expected = equations_1_to_4(heatmaps)
    assert 0 < expected[0, 1] < 1e-3 * expected.max()
    np.testing.assert_allclose(measure_distances(heatmaps), expected, rtol=1e-4)


def test_duplicates_are_at_distance_0():
    heatmaps = draw(30, 3000)
    heatmaps[10:20] = heatmaps[3]
    matrix = measure_distances(heatmaps)
    assert not matrix[10:20, 10:20].any() and not matrix[3, 10:20].any()
    assert matrix[3, 4] > 0
    np.testing.assert_array_equal(measure_distances(np.repeat(heatmaps[:1], 9, axis=0)), 0)


def test_a_constant_layer_has_no_distances():
    np.testing.assert_array_equal(measure_distances(np.full((4, 7), 2.5, np.float32)), 0)


def test_one_heatmap_has_no_other():
    np.testing.assert_array_equal(measure_distances(draw(1, 7)), [[0]])


@pytest.mark.parametrize(
    "heatmaps",
    [
        np.empty((0, 4), np.float32),
        np.empty((4, 0), np.float32),
        np.ones((2, 3, 4), np.float32),
        np.ones((2, 3)),
        np.array([[1, np.nan]], np.float32),
        np.array([[1, -np.inf]], np.float32),
    ],
)
def test_what_cannot_be_used_is_refused(heatmaps):
    with pytest.raises(ValueError, match="heatmaps: expected"):
        measure_distances(heatmaps)


# --- new images -------------------------------------------------------------------------------


def between_naively(new, old):
    return np.array([[math.dist(a, b) for b in old.tolist()] for a in new.tolist()])


def with_near_duplicates(old, new):
    new[3] = old[6]
    new[4] = old[7] * np.float32(1.0001)
    return new


def test_distances_to_known_heatmaps_are_those_of_raw_ones(tmp_path, small_blocks):
    old = draw(17, 37) * 30
    new = with_near_duplicates(old, draw(12, 37, seed=1) * 30)
    matrix = measure_distances_between(new, old)
    assert matrix.dtype == np.float32 and matrix[3, 6] == 0
    np.testing.assert_allclose(matrix, between_naively(new, old), rtol=1e-4, atol=1e-5)
    write(tmp_path / "new.npy", new)
    write(tmp_path / "known.npy", old)
    memory_map = open_heatmaps(tmp_path / "new.npy"), open_heatmaps(tmp_path / "known.npy")
    np.testing.assert_array_equal(measure_distances_between(*memory_map), matrix)
    assert measure_distances_between(new[:0], old).shape == (0, 17)


def test_distances_to_clusters_equal_single_linkage(tmp_path, small_blocks):
    old = draw(17, 37)
    new = with_near_duplicates(old, draw(40, 37, seed=1))
    clusters = np.random.default_rng(2).permutation(np.arange(17) % 4).astype(np.int32)
    matrix = measure_cluster_distances(new, old, clusters)
    assert matrix.dtype == np.float32
    every = between_naively(new, old)
    expected = np.stack([every[:, clusters == c].min(axis=1) for c in range(4)], axis=1)
    np.testing.assert_allclose(matrix, expected, rtol=1e-4, atol=1e-6)
    far = np.delete(np.arange(40), [3, 4])
    np.testing.assert_allclose(matrix[far], cluster_distances(new[far], old, clusters), rtol=1e-4)
    write(tmp_path / "new.npy", new)
    memory_map = open_heatmaps(tmp_path / "new.npy")
    np.testing.assert_array_equal(measure_cluster_distances(memory_map, old, clusters), matrix)


def test_known_images_go_to_their_own_cluster():
    """As section IV-C says of single linkage."""
    old = draw(60, 200)
    clusters = (np.arange(60) % 7).astype(np.int32)
    matrix = measure_cluster_distances(old, old, clusters)
    np.testing.assert_array_equal(matrix.argmin(axis=1), clusters)
    assert not matrix[np.arange(60), clusters].any()


def test_new_heatmaps_that_do_not_fit_are_refused():
    old = draw(5, 37)
    for new in (draw(3, 36), draw(3, 37)[0]):
        with pytest.raises(ValueError, match="expected 37 entries each"):
            measure_distances_between(new, old)
    with pytest.raises(ValueError, match="clusters: expected one for each of 5"):
        measure_cluster_distances(old, old, np.zeros(4, np.int32))
