"""Groups of nearly the same picture, against a plain search, and from pictures to a run."""

import math

import numpy as np
import pytest
from PIL import Image

from pipelines.data.groups import ALONE, FEWEST_STEMS
from pipelines.data.image_lists import write_image_list
from pipelines.runs.files import read_csv
from pipelines.safe import near_duplicates
from pipelines.safe.near_duplicates import (
    FARTHEST,
    NEAR,
    group_near_duplicates,
    link_near_pictures,
    measure_isolation,
)
from tests.pipelines.safe.job_runs import find


def draw_vectors(rng, tracks, frames, alone, jitter=0.02, width=24):
    """Draw tracks of vectors, whose frames differ a little, and others alone; lengths vary."""
    middles = rng.normal(size=(tracks, width))
    frames_of = np.repeat(middles, frames, axis=0)
    frames_of = frames_of + rng.normal(0, jitter, frames_of.shape) * rng.uniform(
        1, 8, (len(frames_of), 1)
    )
    vectors = np.concatenate([frames_of, rng.normal(size=(alone, width))])
    return (vectors * rng.uniform(0.5, 2, (len(vectors), 1))).astype(np.float32)


def naive(vectors, most):
    """Link pairs as the definition says, and spread numbers until nothing changes."""
    n = len(vectors)

    def distance(a, b):
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return 1 - dot / (math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(y * y for y in b)))

    rows = [[distance(a, b) for b in vectors] for a in vectors]
    rank = min(most, n // 10 + 1)  # the image itself has rank 0
    limits = [min(FARTHEST, NEAR * sorted(row)[rank]) for row in rows]
    numbers = list(range(n))
    for _ in range(n):
        for i in range(n):
            for j in range(n):
                if i != j and rows[i][j] < min(limits[i], limits[j]):
                    numbers[i] = numbers[j] = min(numbers[i], numbers[j])
    return numbers


def naive_isolation(vectors, numbers):
    """Look at every pair of every group."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = 1 - unit @ unit.T
    result = []
    for group in range(max(numbers) + 1):
        members = [i for i, number in enumerate(numbers) if number == group]
        others = [i for i, number in enumerate(numbers) if number != group]
        nearest = [min((rows[i, j] for j in members if j != i), default=None) for i in members]
        beyond = min((rows[i, j] for i in members for j in others), default=math.inf)
        result.append(0 if len(members) == 1 else beyond / max(nearest))
    return result


def same_partition(some, others):
    pairs = set(zip(some, others, strict=True))
    return len(pairs) == len(set(some)) == len(set(others))


@pytest.mark.parametrize("seed", range(8))
def test_near_duplicates_naively_whatever_the_blocks(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(near_duplicates, "RANK", rank := (4 if seed % 2 else 30))
    vectors = draw_vectors(rng, 6, int(rng.integers(2, 6)), int(rng.integers(10, 25)))
    expected = naive(vectors.astype(float).tolist(), rank)
    assert 6 < len(set(expected)) < len(vectors)  # there are pairs, and not only pairs
    for block in (1, 150, 4_000_000):
        monkeypatch.setattr(near_duplicates, "BLOCK", block)
        assert same_partition(link_near_pictures(vectors).tolist(), expected)


@pytest.mark.parametrize("seed", range(8))
def test_isolation_naively_whatever_the_blocks(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    vectors = draw_vectors(rng, 6, 4, 10)
    numbers = np.concatenate([np.arange(8), rng.integers(0, 7, 26)])  # 7 is alone
    for block in (1, 150, 4_000_000):
        monkeypatch.setattr(near_duplicates, "BLOCK", block)
        isolation = measure_isolation(vectors, numbers)
        assert isolation == pytest.approx(naive_isolation(vectors.astype(float), numbers), rel=1e-3)
    assert measure_isolation(vectors, np.zeros(34, dtype=np.int64)).tolist() == [math.inf]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_of_very_few_images_none_is_a_duplicate(count):
    vectors = np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32)
    assert len(set(link_near_pictures(vectors).tolist())) == count


def test_tracks_are_groups_named_by_their_first_image():
    vectors = draw_vectors(np.random.default_rng(0), 12, 4, 30, jitter=0.01)
    paths = [f"{number:03d}.png" for number in range(len(vectors))]
    groups = group_near_duplicates(paths, vectors)
    assert groups.how == "by near-duplicate pictures"
    assert groups.names == {paths[frame]: paths[frame // 4 * 4] for frame in range(48)}


def test_an_image_whose_path_occurs_in_both_folders_is_in_no_group():
    vectors = draw_vectors(np.random.default_rng(0), 12, 4, 30, jitter=0.01)
    paths = [f"{number:03d}.png" for number in range(len(vectors))]
    paths[1], paths[-1] = "twice.png", "twice.png"
    names = group_near_duplicates(paths, vectors).names
    assert "twice.png" not in names
    assert len(names) == 47


@pytest.mark.parametrize(("tracks", "frames", "alone"), [(9, 4, 60), (0, 0, 80), (12, 2, 600)])
def test_few_groups_and_few_images_in_groups_are_none(tracks, frames, alone):
    vectors = draw_vectors(np.random.default_rng(1), tracks, frames, alone, jitter=0.01)
    assert group_near_duplicates([str(n) for n in range(len(vectors))], vectors) == ALONE


def test_a_tenth_of_all_images_is_no_group_and_hides_no_other():
    vectors = draw_vectors(np.random.default_rng(1), 12, 2, 0, jitter=0.01)
    vectors = np.concatenate([vectors, vectors[:1].repeat(3, axis=0)])
    names = group_near_duplicates([str(n) for n in range(27)], vectors).names
    assert sorted(names, key=int) == [str(n) for n in range(2, 24)]


def test_a_chain_through_all_images_is_no_group():
    angles = np.linspace(0, 3, 300)  # each next to the one before, the ends far apart
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert len(set(link_near_pictures(vectors).tolist())) < 300
    assert group_near_duplicates([str(n) for n in range(300)], vectors) == ALONE


def test_groups_that_border_on_others_are_none_and_say_that_all_is_alike():
    rng = np.random.default_rng(4)  # 30 kinds of thing, each a few near pictures and some less near
    kinds = np.repeat(rng.normal(size=(30, 32)), 10, axis=0)
    spread = np.tile(np.repeat([0.22, 0.5], [5, 5]), 30)[:, None]
    vectors = (kinds + spread * rng.normal(size=kinds.shape)).astype(np.float32)
    counts = np.bincount(link_near_pictures(vectors))
    assert (counts > 1).sum() >= FEWEST_STEMS
    paths = [str(n) for n in range(300)]
    assert group_near_duplicates(paths, vectors) == ALONE
    tracks = draw_vectors(rng, 12, 4, 0, jitter=0.01, width=32)
    both = np.concatenate([tracks, vectors])  # fewer images in isolated groups than in others
    assert group_near_duplicates([str(n) for n in range(348)], both) == ALONE
    assert len(group_near_duplicates([str(n) for n in range(48)], tracks).names) == 48


def test_many_images_of_one_cause_are_not_nearly_the_same():
    rng = np.random.default_rng(3)  # 60 of 1,000 share a cause that moves them far from the rest
    vectors = rng.normal(size=(1000, 32)).astype(np.float32)
    vectors[:60] = 6 * rng.normal(size=32) + rng.normal(size=(60, 32))
    unit = vectors[:60] / np.linalg.norm(vectors[:60], axis=1, keepdims=True)
    assert np.sort(1 - unit @ unit.T, axis=1)[:, 1].max() < FARTHEST
    assert len(set(link_near_pictures(vectors).tolist())) == 1000


def test_images_that_are_all_alike_are_not_nearly_the_same():
    rng = np.random.default_rng(2)  # as dark or blurred pictures are: a common direction, and a bit
    vectors = (10 + rng.normal(size=(200, 64))).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert (1 - unit @ unit.T).max() < FARTHEST
    assert len(set(link_near_pictures(vectors).tolist())) == 200


# --- from pictures to a run ---------------------------------------------------------------------


def draw_scene(seed):
    """Draw a scene of its own: a sky, and things of all sizes and colours."""
    rng = np.random.default_rng(seed)
    pixels = np.empty((140, 180, 3))
    pixels[:] = np.linspace(rng.uniform(0, 255, 3), rng.uniform(0, 255, 3), 140)[:, None]
    y, x = np.mgrid[:140, :180]
    for _ in range(rng.integers(3, 14)):
        middle, size = rng.uniform(0, 180, 2), rng.uniform(6, 60, 2)
        offset = np.abs(x - middle[0]) / size[0], np.abs(y - middle[1]) / size[1]
        inside = (
            offset[0] ** 2 + offset[1] ** 2 < 1 if rng.random() < 0.5 else np.maximum(*offset) < 1
        )
        stripes = 1 + 0.4 * np.sin((x + y) / rng.uniform(1, 9))[..., None]
        pixels = np.where(inside[..., None], rng.uniform(0, 255, 3) * stripes, pixels)
    return pixels


def save_frames(folder, scenes, frames, light=1.0):
    """Save frames of scenes, each cut and lit a little otherwise, under names that tell nothing."""
    rng = np.random.default_rng(5)
    folder.mkdir()
    track_of = {}
    for scene in range(scenes):
        pixels = draw_scene(scene)
        for _ in range(frames):
            x, y = rng.integers(0, 7, 2)
            part = pixels[y : y + 134, x : x + 174] * light * rng.uniform(0.95, 1.05)
            part = np.clip(part + rng.normal(0, 2, part.shape), 0, 255).astype(np.uint8)
            name = f"{''.join(rng.choice(list('abcdefghijklmnopqrstuvwxyz'), 9))}.png"
            Image.fromarray(part).save(folder / name)
            track_of[name] = scene
    return track_of


def test_frames_named_at_random_are_groups_unless_none_are_wanted(store, tmp_path):
    track_of = save_frames(tmp_path / "failing", 14, 3)
    manifest = find(tmp_path / "failing", tmp_path / "run")
    words = "42 images come in 14 groups (by near-duplicate pictures)"
    assert any(words in note for note in manifest.notes)
    rows = read_csv(tmp_path / "run" / "images.csv")
    groups = [row["group"] for row in rows]
    assert same_partition(groups, [track_of[row["path"]] for row in rows])
    manifest = find(tmp_path / "failing", tmp_path / "run", overwrite=True, groups="none")
    assert not any("come in" in note for note in manifest.notes)


@pytest.mark.parametrize("light", [1.0, 0.08])
def test_pictures_of_different_scenes_are_no_groups_even_in_the_dark(store, tmp_path, light):
    save_frames(tmp_path / "failing", 60, 1, light)
    manifest = find(tmp_path / "failing", tmp_path / "run")
    assert not any("come in" in note for note in manifest.notes)


def test_failing_and_passing_frames_of_a_track_are_one_group(store, tmp_path):
    track_of = save_frames(tmp_path / "test", 14, 3)
    names = sorted(track_of, key=lambda name: (track_of[name], name))
    passing = names[::3]
    write_image_list(tmp_path / "failures.txt", tmp_path / "test", sorted({*names} - {*passing}))
    write_image_list(tmp_path / "passing.txt", tmp_path / "test", sorted(passing))
    manifest = find(tmp_path / "failures.txt", tmp_path / "run", passing=tmp_path / "passing.txt")
    assert any("42 images come in 14 groups" in note for note in manifest.notes)
    files = [tmp_path / "run" / name for name in ("images.csv", "passing.csv")]
    group_of = {row["path"]: row["group"] for file in files for row in read_csv(file)}
    assert same_partition([group_of[name] for name in names], [track_of[name] for name in names])
