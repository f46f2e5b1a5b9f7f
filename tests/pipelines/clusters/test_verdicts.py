"""Words on clusters that outlive a new clustering."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines.clusters.clusters import RootCauseClusters, read_words, save_words, write_clusters
from pipelines.clusters.verdicts import (
    SAME,
    carry_over,
    describe_carried,
    find_earlier_words,
    keep_words,
)
from pipelines.runs.errors import InputError
from pipelines.runs.folder import open_run
from pipelines.runs.manifest import Manifest, read_manifest, write_manifest

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


def write_run(folder, clusters, images="/images", started_at="2026-01-01T00:00:00+00:00", **words):
    manifest = Manifest(
        job="cluster", command=[], folder=images, parameters={}, started_at=started_at
    )
    with open_run(folder, manifest, lambda *step: None):
        write_clusters(folder, clusters)
    for cluster, texts in words.items():
        save_words(folder, int(cluster.removeprefix("c").replace("n", "-1")), texts)
    return folder


def earlier(tmp_path, labels, **words):
    run = write_run(tmp_path / "earlier", clusters_of(labels), **words)
    return find_earlier_words(run, "/images")


def naive_hand_on(words, old, new, common):
    successors = {}
    for a in set(old):
        for b in set(new):
            first = {i for i in range(common) if old[i] == a}
            second = {i for i in range(common) if new[i] == b}
            both, whole = len(first & second), old.count(a)
            enough = both >= whole / 2 and both >= min(3, whole)
            if a in words and enough and both / max(1, len(first | second)) > SAME:
                successors[a] = b
    return successors


@pytest.mark.parametrize("removals", [0, 15, 40])
@pytest.mark.parametrize("seed", range(4))
def test_words_go_where_most_images_are_naively(tmp_path, seed, removals):
    rng = np.random.default_rng(seed)
    old = rng.integers(-1, 4, 60 + removals)
    new = np.where(rng.random(60) < 0.35, rng.integers(-1, 4, 60), (old[:60] + 2) % 4)
    texts = {f"c{c}": {"name": f"cause {c}"} for c in range(4)}
    before = earlier(tmp_path, old, **texts)
    words, waiting = carry_over(before, clusters_of(new))
    successors = naive_hand_on(range(4), old.tolist(), new.tolist(), 60)
    assert words == {b: {"name": f"cause {a}"} for a, b in successors.items()}
    assert {c for run in waiting for c in run.words} == set(range(4)) - set(successors)
    assert len(words) == len(successors)  # none of two clusters go to one


def test_all_words_are_handed_on_whole(tmp_path):
    texts = WORDS | {"severity": "S2", "likelihood": "=high"}
    before = earlier(tmp_path, [0] * 5 + [1] * 5, c1=texts)
    assert carry_over(before, clusters_of([1] * 5 + [0] * 5)) == ({0: texts}, [])


def test_images_that_are_new_do_not_count(tmp_path):
    before = earlier(tmp_path, [0] * 4 + [1] * 6, c0=WORDS)
    larger = clusters_of([0] * 4 + [1] * 2 + [-1] * 4 + [0] * 90)
    assert carry_over(before, larger)[0] == {0: WORDS}


def test_a_verdict_does_not_move_on_the_evidence_of_a_few_images(tmp_path):
    before = earlier(tmp_path, [0] * 50, c0=WORDS)
    for common in (1, 24, 25):
        overlap = clusters_of([0] * 80, start=50 - common)
        assert bool(carry_over(before, overlap)[0]) == (common == 25)


def test_another_picture_under_the_same_name_is_another_image(tmp_path):
    before = earlier(tmp_path, [0] * 6, c0=WORDS)
    other = replace(clusters_of([0] * 6), digests=tuple("f" * 64 for _ in range(6)))
    words, waiting = carry_over(before, other)
    assert (words, [run.words for run in waiting]) == ({}, [{0: WORDS}])


def test_halves_keep_nothing_and_the_words_are_told(tmp_path):
    before = earlier(tmp_path, [0] * 6, c0=WORDS)
    words, waiting = carry_over(before, clusters_of([0, 0, 0, 1, 1, 1]))
    assert words == {}
    (note,) = describe_carried(before, 0, waiting)
    assert "cluster 0 of the run earlier" in note
    assert all(word in note for word in WORDS.values())


def test_words_that_fit_nothing_wait_for_a_clustering_that_they_fit(tmp_path):
    run = write_run(tmp_path / "run", clusters_of([0] * 6), c0=WORDS)
    other = clusters_of([0, 0, 0, 1, 1, 1])
    _, waiting = carry_over(find_earlier_words(run, "/images"), other)
    keep_words(run, waiting)
    write_clusters(run, other, {1: {"name": "half"}})
    before = find_earlier_words(run, "/images")
    assert [run_words.words for run_words in before] == [{1: {"name": "half"}}, {0: WORDS}]
    words, waiting = carry_over(before, clusters_of([0] * 6))
    assert words == {0: WORDS}
    assert [run_words.words for run_words in waiting] == [{1: {"name": "half"}}]
    keep_words(run, [])
    assert not (run / "earlier_words.json").exists()


def test_newer_words_come_first(tmp_path):
    run = write_run(tmp_path / "run", clusters_of([0] * 6), c0={"name": "new"})
    old = find_earlier_words(run, "/images")[0].model_copy(update={"words": {0: {"name": "old"}}})
    keep_words(run, [old])
    words, waiting = carry_over(find_earlier_words(run, "/images"), clusters_of([0] * 6))
    assert words == {0: {"name": "new"}}
    assert waiting == [old]


def test_words_on_noise_stay_with_noise(tmp_path):
    before = earlier(tmp_path, [0, 0, 0, -1, -1, -1, -1], cn={"note": "odd ones"})
    words, _ = carry_over(before, clusters_of([0, 0, 0, -1, -1, -1, 0]))
    assert words == {-1: {"note": "odd ones"}}
    assert "the noise" in describe_carried(before, 0, before)[0]


def test_a_run_without_words_has_none_for_its_noise_is_only_called_so(tmp_path):
    run = write_run(tmp_path / "run", clusters_of([0, 0, 0, -1]))
    assert read_words(run) == {}
    assert find_earlier_words(run, "/images") == []


def test_the_latest_run_of_the_same_images_that_has_words(tmp_path):
    labels = clusters_of([0, 0, 0])
    write_run(tmp_path / "a", labels, started_at="2026-01-01T00:00:00+00:00", c0={"name": "old"})
    write_run(tmp_path / "b", labels, started_at="2026-01-02T00:00:00+00:00", c0={"name": "new"})
    write_run(tmp_path / "c", labels, started_at="2026-01-03T00:00:00+00:00")
    write_run(
        tmp_path / "d", labels, "/others", started_at="2026-01-04T00:00:00+00:00", c0={"name": "no"}
    )
    (latest,) = find_earlier_words(tmp_path / "next", "/images")
    assert (latest.run, latest.words) == ("b", {0: {"name": "new"}})
    (own,) = find_earlier_words(tmp_path / "a", "/images")  # the run that is replaced comes first
    assert (own.run, own.words) == ("a", {0: {"name": "old"}})


@pytest.mark.parametrize(
    "save",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace(",", ";").encode(),
        lambda text: text.replace("sunglasses", "lunettes cass\xe9es").encode("cp1252"),
        lambda text: (text + "\n\n").replace("\n", "\r\n").encode(),
    ],
)
def test_words_that_a_spreadsheet_has_saved_are_read(tmp_path, save):
    run = write_run(tmp_path / "run", clusters_of([0, 0, 0]), c0=WORDS | {"note": "dark"})
    text = (run / "clusters.csv").read_text()
    (run / "clusters.csv").write_bytes(save(text))
    words, _ = carry_over(find_earlier_words(run, "/images"), clusters_of([0, 0, 0]))
    assert words[0]["verdict"] == "plausible cause"
    save_words(run, 0, {"severity": "S1"})
    assert read_words(run)[0]["severity"] == "S1"


@pytest.mark.parametrize("name", ["clusters.csv", "images.csv", "earlier_words.json"])
def test_a_damaged_run_hands_nothing_on_and_is_not_overwritten(tmp_path, name):
    run = write_run(tmp_path / "run", clusters_of([0, 0, 0]), c0=WORDS)
    (run / name).write_text("cluster,name\nx")
    assert find_earlier_words(tmp_path / "next", "/images") == []
    with pytest.raises(InputError, match=name):
        find_earlier_words(run, "/images")
    (run / name).unlink()
    (run / "clusters.csv").unlink(missing_ok=True)
    assert find_earlier_words(tmp_path / "next", "/images") == []


def test_words_that_a_killed_job_left_in_both_places_are_carried_once(tmp_path):
    clusters = clusters_of([0] * 4 + [1] * 4)
    run = write_run(tmp_path / "earlier", clusters, c0=WORDS)
    before = find_earlier_words(run, "/images")
    keep_words(run, before)
    assert find_earlier_words(run, "/images") == before  # killed before the earlier run went
    larger = clusters_of([0] * 5 + [1] * 5)
    write_clusters(run, larger, {0: WORDS})  # killed after the new one came
    assert carry_over(find_earlier_words(run, "/images"), clusters_of([0] * 4 + [1] * 5)) == (
        {0: WORDS},
        [],
    )


def test_of_a_run_that_is_half_removed_the_kept_words_count(tmp_path):
    run = write_run(tmp_path / "earlier", clusters_of([0] * 4), c0=WORDS)
    before = find_earlier_words(run, "/images")
    keep_words(run, before)
    manifest = read_manifest(run)
    manifest.replacing = True
    write_manifest(run, manifest)
    (run / "images.csv").unlink()
    assert find_earlier_words(run, "/images") == before
