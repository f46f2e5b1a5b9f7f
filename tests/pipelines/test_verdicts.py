"""Words on clusters that outlive a new clustering."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines.clusters import RootCauseClusters, read_words, save_words, write_clusters
from pipelines.runs import Manifest, open_run
from pipelines.verdicts import SAME, find_earlier_words, hand_on, tell

WORDS = {"name": "sunglasses", "note": "dark\nglass", "verdict": "plausible cause"}


def clusters_of(labels, start=0):
    count = len(labels)
    return RootCauseClusters(
        paths=tuple(f"{start + number:03d}.png" for number in range(count)),
        digests=tuple(f"{start + number:064x}" for number in range(count)),
        labels=np.array(labels, dtype=np.int32),
        core=np.ones(count, np.bool_),
        silhouettes=np.zeros(count, np.float32),
        centre_distances=np.zeros(count, np.float32),
        places=np.zeros((count, 2), np.float32),
    )


def write_run(folder, clusters, images="/images", started="2026-01-01T00:00:00+00:00", **words):
    manifest = Manifest(job="cluster", command=[], folder=images, parameters={}, started_at=started)
    with open_run(folder, manifest, lambda *step: None):
        write_clusters(folder, clusters)
    for cluster, said in words.items():
        save_words(folder, int(cluster.removeprefix("c").replace("n", "-1")), said)
    return folder


def earlier(tmp_path, labels, **words):
    run = write_run(tmp_path / "earlier", clusters_of(labels), **words)
    return find_earlier_words(run, "/images")


def naive_hand_on(words, old, new, common):
    taken = {}
    for a in set(old):
        for b in set(new):
            first = {i for i in range(common) if old[i] == a}
            second = {i for i in range(common) if new[i] == b}
            if a in words and first & second and len(first & second) / len(first | second) > SAME:
                taken[a] = b
    return taken


@pytest.mark.parametrize("seed", range(6))
def test_words_go_where_most_images_are_naively(tmp_path, seed):
    rng = np.random.default_rng(seed)
    old = rng.integers(-1, 4, 60)
    new = np.where(rng.random(60) < 0.35, rng.integers(-1, 4, 60), (old + 2) % 4)
    said = {f"c{c}": {"name": f"cause {c}"} for c in range(4)}
    before = earlier(tmp_path, old, **said)
    words, lost = hand_on(before, clusters_of([*new, 0, 0, 1]))
    taken = naive_hand_on(range(4), old.tolist(), new.tolist(), 60)
    assert words == {b: {"name": f"cause {a}"} for a, b in taken.items()}
    assert lost == sorted(set(range(4)) - set(taken))
    assert len(words) == len(taken)  # none of two clusters go to one


def test_all_words_are_handed_on_whole(tmp_path):
    said = WORDS | {"severity": "S2", "likelihood": "=high"}
    before = earlier(tmp_path, [0] * 5 + [1] * 5, c1=said)
    assert hand_on(before, clusters_of([1] * 5 + [0] * 5)) == ({0: said}, [])


def test_images_that_are_new_or_gone_do_not_count(tmp_path):
    before = earlier(tmp_path, [0] * 4 + [1] * 6, c0=WORDS)
    grown = clusters_of([0] * 4 + [1] * 2 + [-1] * 4 + [0] * 90)
    assert hand_on(before, grown)[0] == {0: WORDS}


def test_another_picture_under_the_same_name_is_another_image(tmp_path):
    before = earlier(tmp_path, [0] * 6, c0=WORDS)
    other = replace(clusters_of([0] * 6), digests=tuple("f" * 64 for _ in range(6)))
    assert hand_on(before, other) == ({}, [0])


def test_halves_keep_nothing_and_the_words_are_told(tmp_path):
    before = earlier(tmp_path, [0] * 6, c0=WORDS)
    words, lost = hand_on(before, clusters_of([0, 0, 0, 1, 1, 1]))
    assert (words, lost) == ({}, [0])
    (note,) = tell(before, 0, lost)
    assert "cluster 0 of the run earlier" in note
    assert all(word in note for word in WORDS.values())


def test_words_on_noise_stay_with_noise(tmp_path):
    before = earlier(tmp_path, [0, 0, 0, -1, -1, -1], cn={"note": "odd ones"})
    assert hand_on(before, clusters_of([-1, 0, 0, -1, -1, -1]))[0] == {-1: {"note": "odd ones"}}
    assert "the noise" in tell(before, 0, [-1])[0]


def test_a_run_without_words_has_none_for_its_noise_is_only_called_so(tmp_path):
    run = write_run(tmp_path / "run", clusters_of([0, 0, 0, -1]))
    assert read_words(run) == {}
    assert find_earlier_words(run, "/images") is None


def test_the_latest_run_of_the_same_images_that_has_words(tmp_path):
    labels = clusters_of([0, 0, 0])
    write_run(tmp_path / "a", labels, started="2026-01-01T00:00:00+00:00", c0={"name": "old"})
    write_run(tmp_path / "b", labels, started="2026-01-02T00:00:00+00:00", c0={"name": "new"})
    write_run(tmp_path / "c", labels, started="2026-01-03T00:00:00+00:00")
    write_run(
        tmp_path / "d", labels, "/others", started="2026-01-04T00:00:00+00:00", c0={"name": "no"}
    )
    found = find_earlier_words(tmp_path / "next", "/images")
    assert (found.run, found.words) == ("b", {0: {"name": "new"}})
    own = find_earlier_words(tmp_path / "a", "/images")  # the run that is replaced comes first
    assert (own.run, own.words) == ("a", {0: {"name": "old"}})


@pytest.mark.parametrize("name", ["clusters.csv", "images.csv"])
def test_a_damaged_run_hands_nothing_on(tmp_path, name):
    run = write_run(tmp_path / "run", clusters_of([0, 0, 0]), c0=WORDS)
    (run / name).write_text("cluster,name\nx")
    assert find_earlier_words(tmp_path / "next", "/images") is None
    (run / name).unlink()
    assert find_earlier_words(tmp_path / "next", "/images") is None
