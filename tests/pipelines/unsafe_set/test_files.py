"""The files of an unsafe set, and changing it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv, replace_cells
from pipelines.runs.folder import lock_folder
from pipelines.unsafe_set.cut import cut
from pipelines.unsafe_set.export import export_unsafe_set
from pipelines.unsafe_set.files import (
    Selection,
    read_candidates,
    read_current_set,
    read_engineer_labels,
    read_selection,
    recut,
    write_candidates,
    write_unsafe_set,
)
from pipelines.unsafe_set.rows import read_rows
from tests.killed import kill_before
from tests.pipelines.unsafe_set.test_cut import HOW, candidates_of


def selection_of(count=3):
    return Selection(
        folder="/new", images=6, rejected=1, inside=5, count=count, counted="as asked for",
        allocation="uniform", ranking="distance", same_distance=0.0, seed=0,
    )  # fmt: skip


def test_the_files_name_the_chosen_images_best_first(tmp_path):
    candidates = candidates_of([[0.3, 9], [0.1, 9], [9, 0.2], [9, 9], [9, 0.25]], [1, 1])
    write_unsafe_set(tmp_path, selection_of(5), candidates, {"02.png": "=left"})
    names = (tmp_path / "IS_filenames.txt").read_text().splitlines()
    rows = read_csv(tmp_path / "unsafe_set.csv")
    assert (
        names == [row["path"] for row in rows] == ["01.png", "02.png", "00.png", "04.png", "03.png"]
    )
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [row["cluster"] for row in rows[:4]] == ["0", "1", "0", "1"]
    assert [row["outside"] for row in rows] == ["0", "0", "0", "0", "1"]
    assert [float(row["distance"]) for row in rows[:2]] == [0.1, 0.2]
    assert read_engineer_labels(tmp_path) == {"02.png": "=left"}
    selection_file = read_selection(tmp_path)
    assert (selection_file.chosen, selection_file.count, selection_file.folder) == (5, 5, "/new")


@pytest.mark.parametrize(
    ("count", "out", "words"),
    [
        (4, [], "as asked for"),
        (9, [], "9 were wanted, as asked for; there are no more to choose"),
        (5, ["01.png"], "5 were wanted, as asked for; images that are taken out are not replaced"),
        (2, ["03.png"], "as asked for"),  # it would not be chosen anyway
    ],
)
def test_the_count_that_is_told_is_the_true_one(tmp_path, count, out, words):
    candidates = candidates_of([[0.3, 9], [0.1, 9], [9, 0.2], [9, 9], [9, 0.25]], [1, 1])
    selection = selection_of(count).model_copy(update={"deselected": out})
    new_selection = write_unsafe_set(tmp_path, selection, candidates, {}).selection
    assert new_selection.chosen == len((tmp_path / "IS_filenames.txt").read_text().splitlines())
    assert new_selection.describe_count() == words


def test_candidates_come_back_as_they_were(tmp_path):
    rng = np.random.default_rng(0)
    candidates = candidates_of(rng.uniform(0, 1, (7, 2)), [0.4, 0.6], scores=rng.normal(size=7))
    write_candidates(tmp_path, candidates)
    back = read_candidates(tmp_path)
    assert (back.paths, back.digests) == (candidates.paths, candidates.digests)
    for name in ("points", "distances", "reaches", "scores", "sizes"):
        assert np.array_equal(getattr(back, name), getattr(candidates, name))
    for count in range(1, 8):
        first, again = (cut(one_of_both, count, **HOW) for one_of_both in (candidates, back))
        assert first.images.tolist() == again.images.tolist()


def test_the_files_name_the_groups_and_count_them(tmp_path):
    groups = ["t1", "t1", "", "t2", "t2"]
    candidates = candidates_of([[0.1], [0.2], [0.3], [0.4], [0.5]], [1], groups=groups)
    measured = write_candidates(tmp_path, candidates)
    assert read_candidates(tmp_path).groups == tuple(groups)
    selection = selection_of(4).model_copy(update={"groups": "by names", "measured": measured})
    write_unsafe_set(tmp_path, selection, candidates, {})
    rows = read_csv(tmp_path / "unsafe_set.csv")
    assert list(rows[0])[-1] == "group"
    assert [(row["path"], row["group"]) for row in rows] == [
        ("00.png", "t1"), ("02.png", ""), ("03.png", "t2"), ("01.png", "t1"),
    ]  # fmt: skip
    assert read_selection(tmp_path).chosen_groups == 3
    assert any(
        "4 images of 3 groups, found by names" in r for r in read_selection(tmp_path).remarks()
    )
    new_selection = recut(tmp_path, images={"02.png": False}).selection
    assert any("3 images of 2 groups" in remark for remark in new_selection.remarks())


def test_without_groups_nothing_is_said_of_them_and_the_measured_file_is_as_before(tmp_path):
    candidates = candidates_of([[0.1], [0.2]], [1])
    write_candidates(tmp_path, candidates)
    with np.load(tmp_path / "selection.npz") as arrays:
        assert "groups" not in arrays.files  # as earlier versions wrote it
    assert read_candidates(tmp_path).groups == ()
    selection = write_unsafe_set(tmp_path, selection_of(2), candidates, {}).selection
    assert not any("group" in remark for remark in selection.remarks())
    assert [row["group"] for row in read_csv(tmp_path / "unsafe_set.csv")] == ["", ""]
    content = (tmp_path / "selection.json").read_text()
    earlier = {k: v for k, v in json.loads(content).items() if "groups" not in k}
    (tmp_path / "selection.json").write_text(json.dumps(earlier))
    assert read_selection(tmp_path).groups == ""


@pytest.mark.parametrize(
    ("name", "read", "words"),
    [
        ("selection.npz", read_candidates, "Select the unsafe set again"),
        ("selection.json", read_selection, "Select the unsafe set again"),
        ("unsafe_set.csv", read_engineer_labels, "labels in it would be lost"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, read, words):
    (tmp_path / name).write_text("path,label\na,b,c\n")
    with pytest.raises(InputError, match=rf"{name}.*{words}"):
        read(tmp_path)


def test_a_run_without_an_unsafe_set(tmp_path):
    assert read_selection(tmp_path) is None
    assert read_engineer_labels(tmp_path) == {}
    with pytest.raises(InputError, match="Select the unsafe set again"):
        read_candidates(tmp_path)


def test_labels_that_a_spreadsheet_saved_are_read(tmp_path):
    candidates = candidates_of([[0.1], [0.2]], [1])
    write_unsafe_set(tmp_path, selection_of(), candidates, {})
    file = tmp_path / "unsafe_set.csv"
    replace_cells(file, "path", {"01.png": {"label": "up"}})
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b",", b";"))
    assert read_engineer_labels(tmp_path) == {"01.png": "up"}


# --- changing it --------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path):
    """A run whose unsafe set was selected: 30 images, 3 clusters, 12 chosen."""
    rng = np.random.default_rng(0)
    candidates = candidates_of(rng.uniform(0, 1, (30, 3)), [0.5] * 3)
    measured = write_candidates(tmp_path, candidates)
    selection = selection_of(12).model_copy(update={"images": 30, "measured": measured})
    write_unsafe_set(tmp_path, selection, candidates, {})
    return tmp_path


def names_of(run):
    names = (run / "IS_filenames.txt").read_text().splitlines()
    assert names == [row["path"] for row in read_csv(run / "unsafe_set.csv")]
    ranks = [row["rank"] for row in read_csv(run / "unsafe_set.csv")]
    assert ranks == [str(rank) for rank in range(1, len(names) + 1)]
    return names


@pytest.mark.parametrize("count", [1, 5, 20, 30])
def test_another_number_gives_the_set_that_selecting_it_gives(run, count):
    new_set = recut(run, count=count)
    candidates = read_candidates(run)
    expected = cut(candidates, count, **HOW)
    assert names_of(run) == [candidates.paths[image] for image in expected.images]
    assert (new_set.selection.count, new_set.selection.chosen) == (count, count)
    assert new_set.selection == read_selection(run)


def test_what_is_taken_out_leaves_a_gap_and_comes_back(run):
    before = names_of(run)
    new_set = recut(run, images={before[2]: False, before[5]: False})
    assert names_of(run) == [n for place, n in enumerate(before) if place not in {2, 5}]
    assert new_set.out.tolist() == [place in {2, 5} for place in range(12)]
    rows = {row["path"]: row["cluster"] for row in read_csv(run / "unsafe_set.csv")}
    recut(run, clusters={1: False})
    assert names_of(run) == [n for n in before if n in rows and rows[n] != "1"]
    assert read_selection(run).deselected_clusters == [1]
    recut(run, count=20)  # what is out stays out
    assert not {before[2], before[5]} & set(names_of(run))
    recut(run, count=12, images={before[2]: True, before[5]: True}, clusters={1: True})
    assert names_of(run) == before
    again = read_selection(run)
    assert (again.deselected, again.deselected_clusters, again.chosen) == ([], [], 12)


def test_labels_wait_until_their_images_are_back(run):
    before = names_of(run)
    cells = {before[0]: {"label": "up"}, before[11]: {"label": "=down"}}
    replace_cells(run / "unsafe_set.csv", "path", cells)
    recut(run, count=6, images={before[0]: False})
    assert not any(row["label"] for row in read_csv(run / "unsafe_set.csv"))
    assert read_engineer_labels(run) == {before[0]: "up", before[11]: "=down"}
    recut(run, count=12, images={before[0]: True})
    labels = {row["path"]: row["label"] for row in read_csv(run / "unsafe_set.csv")}
    assert (labels[before[0]], labels[before[11]]) == ("up", "=down")
    assert read_selection(run).set_aside == {}
    replace_cells(run / "unsafe_set.csv", "path", {before[0]: {"label": ""}})
    recut(run, count=11)
    recut(run, count=12)
    assert read_engineer_labels(run) == {before[11]: "=down"}  # what was cleared stays cleared


@pytest.mark.parametrize("name", ["unsafe_set.csv", "IS_filenames.txt", "selection.json"])
def test_no_label_is_lost_wherever_the_work_breaks_off(run, monkeypatch, name):
    before = names_of(run)
    replace_cells(run / "unsafe_set.csv", "path", {before[11]: {"label": "down"}})
    real = Path.replace

    def fail(self, target):
        if Path(target).name == name and (name != "selection.json" or fail.seen):
            raise OSError(28, "No space left on device", str(target))
        fail.seen |= Path(target).name == "selection.json"
        return real(self, target)

    fail.seen = False
    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        recut(run, count=6)
    monkeypatch.setattr(Path, "replace", real)
    assert read_engineer_labels(run) == {before[11]: "down"}
    recut(run, count=12)
    assert names_of(run) == before
    assert read_engineer_labels(run) == {before[11]: "down"}


def describe_set(run):
    """Return what page and export say of a set; None where they refuse."""
    try:
        current = read_current_set(run)
        rows = read_rows(run, current.selection.listed)
    except InputError as error:
        assert "another" in str(error) or "ecut` without" in str(error) or "again" in str(error)
        return None
    paths = [current.candidates.paths[image] for image in current.chosen.images[~current.out]]
    assert paths == [row["path"] for row in rows]
    return paths


def select_anew(run, labels):
    """Write what a second `select` writes: other distances, and so another set."""
    candidates = candidates_of(np.random.default_rng(1).uniform(0, 1, (30, 3)), [0.5] * 3)
    measured = write_candidates(run, candidates)
    selection = selection_of(9).model_copy(update={"images": 30, "measured": measured})
    write_unsafe_set(run, selection, candidates, labels)


@pytest.mark.parametrize("has_label", [False, True])
@pytest.mark.parametrize("how", ["select", "recut"])
def test_a_kill_between_two_renames_shows_the_old_set_the_new_one_or_a_refusal(
    run, tmp_path_factory, has_label, how
):
    before = names_of(run)
    labels = {before[0]: "up"} if has_label else {}
    if has_label:
        replace_cells(run / "unsafe_set.csv", "path", {before[0]: {"label": "up"}})

    def write(folder):
        if how == "recut":
            recut(folder, count=9)
        else:
            select_anew(folder, read_engineer_labels(folder))

    after = Path(shutil.copytree(run, tmp_path_factory.mktemp("whole") / "run"))
    write(after)
    refusals = 0
    for step in range(20):
        folder = Path(shutil.copytree(run, tmp_path_factory.mktemp("killed") / "run"))
        if not kill_before(step, lambda folder=folder: write(folder)):
            break
        assert describe_set(folder) in (before, names_of(after), None)
        refusals += describe_set(folder) is None
        assert read_engineer_labels(folder) == labels
        write(folder)
        for name in ("selection.npz", "selection.json", "unsafe_set.csv", "IS_filenames.txt"):
            assert (folder / name).read_bytes() == (after / name).read_bytes()
        recut(folder)
        assert not list(folder.glob(".*.tmp"))
    assert 4 <= step < 20
    assert refusals


def test_a_table_of_another_set_is_refused_and_recut_mends_it(run, tmp_path):
    before = names_of(run)
    table = (run / "unsafe_set.csv").read_bytes()
    recut(run, count=4)
    (run / "unsafe_set.csv").write_bytes(table)
    replace_cells(run / "unsafe_set.csv", "path", {before[0]: {"label": "up"}})
    with pytest.raises(InputError, match=r"does not list the images .*`recut` without options"):
        read_current_set(run)
    with pytest.raises(InputError, match="does not list the images"):
        export_unsafe_set(run, tmp_path / "out", lambda *step: None)
    recut(run)
    assert names_of(run) == describe_set(run)
    assert read_engineer_labels(run) == {before[0]: "up"}


def test_what_a_spreadsheet_sorted_and_an_engineer_labelled_is_the_same_set(run):
    file = run / "unsafe_set.csv"
    first, *rows = file.read_text().splitlines()
    file.write_bytes("\r\n".join([first, *sorted(rows)]).replace(",", ";").encode("utf-8-sig"))
    replace_cells(file, "path", {read_csv(file)[0]["path"]: {"label": "up"}})
    assert read_current_set(run).labels == {read_csv(file)[0]["path"]: "up"}


def test_a_set_of_an_earlier_version_opens_without_digest(run):
    document = json.loads((run / "selection.json").read_text())
    del document["listed"]
    (run / "selection.json").write_text(json.dumps(document))
    assert read_current_set(run).selection.listed == ""
    assert len(read_rows(run, "")) == 12


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"count": 0}, "count: expected a number of images, 1 or more, received 0"),
        ({"images": {"nowhere.png": False}}, "/new had no image 'nowhere.png'"),
        ({"clusters": {3: False}}, "has no cluster 3"),
        ({"clusters": {-1: False}}, "has no cluster -1"),
    ],
)
def test_changes_that_mean_nothing_change_nothing(run, change, words):
    before = {file.name: file.read_bytes() for file in run.iterdir() if file.name != ".lock"}
    with pytest.raises(InputError, match=words):
        recut(run, **change)
    assert before == {f.name: f.read_bytes() for f in run.iterdir() if f.name != ".lock"}


def test_an_unsafe_set_that_cannot_be_changed(run, tmp_path):
    with lock_folder(run), pytest.raises(InputError, match="another job is writing"):
        recut(run, count=3)
    write_candidates(run, candidates_of([[0.1]] * 30, [1]))
    with pytest.raises(InputError, match=r"does not belong to selection\.json"):
        recut(run, count=3)
    (tmp_path / "bare").mkdir()
    with pytest.raises(InputError, match="has no unsafe set: select one first"):
        recut(tmp_path / "bare", count=3)
    assert json.loads((run / "selection.json").read_text())["count"] == 12


def test_what_the_page_shows_is_what_the_files_say(run):
    recut(run, clusters={0: False})
    describe_set = read_current_set(run)
    paths = [
        describe_set.candidates.paths[image]
        for image in describe_set.chosen.images[~describe_set.out]
    ]
    assert paths == names_of(run)
    assert describe_set.out.sum() + len(paths) == 12


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 cut short", b"no archive", b"PK\x05\x06" + bytes(18)]
)
def test_an_archive_that_is_cut_short_is_named(tmp_path, content):
    (tmp_path / "selection.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"selection\.npz cannot be read"):
        read_candidates(tmp_path)
