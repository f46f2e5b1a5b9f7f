"""Archives of arrays: read as they were written, or refused before they fill the memory."""

import io
import zipfile

import numpy as np
import pytest

from pipelines.runs import archives
from pipelines.runs.archives import Entry, check_lengths, read_archive
from pipelines.runs.errors import InputError
from pipelines.runs.guard import name_damaged_file
from tests.mutations import mutate, put

ENTRIES = {
    "names": Entry("U", 1),
    "points": Entry("f", 2),
    "labels": Entry("i", 1),
    "core": Entry("b", 1),
    "length": Entry("f", 0),
    "biases": Entry("f", 1, unknown=True),
    "groups": Entry("U", 1, optional=True),
}


@pytest.fixture
def arrays():
    rng = np.random.default_rng(3)
    return {
        "names": np.array(["a", "ü/b.png", ""]),
        "points": rng.normal(size=(3, 4)).astype(np.float32),
        "labels": np.array([0, -1, 2], dtype=np.int32),
        "core": np.array([True, False, True]),
        "length": np.array(1.5),
        "biases": np.array([np.nan, 1, 2]),
        "passed over": np.array([7]),
    }


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back_as_they_were_written(tmp_path, arrays, save):
    save(tmp_path / "a.npz", **arrays)
    back = read_archive(tmp_path / "a.npz", ENTRIES)
    assert back.keys() == ENTRIES.keys() - {"groups"}
    for name, array in back.items():
        assert array.dtype == arrays[name].dtype
        assert np.array_equal(array, arrays[name], equal_nan=name == "biases")


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_archive_is_read_right_or_refused_in_one_line(tmp_path, arrays, seed):
    file = tmp_path / "a.npz"
    np.savez(file, **arrays)
    refusals = 0
    for what, content in mutate(file, np.random.default_rng(seed), 1000):
        with put(file, content):
            try:
                with name_damaged_file(file):
                    back = read_archive(file, ENTRIES)
            except InputError as error:
                refusals += 1
                assert str(file) in str(error), what
                assert "\n" not in str(error), what
            else:
                for name in back:
                    entry = ENTRIES[name]
                    assert (back[name].dtype.kind, back[name].ndim) == (
                        entry.kind,
                        entry.dimensions,
                    )
    assert refusals > 30


def test_an_archive_that_unpacks_to_more_than_the_limit_is_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", points=np.zeros((1000, 100), np.float32))
    monkeypatch.setattr(archives, "LARGEST", 300_000)
    with pytest.raises(ValueError, match="unpacks to more than"):
        read_archive(tmp_path / "a.npz", {"points": Entry("f", 2)})


def test_an_archive_that_is_encrypted_or_packed_otherwise_is_refused(tmp_path, arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    content = bytearray(file.getvalue())
    with zipfile.ZipFile(file) as archive:
        first = archive.infolist()[0]
    central = content.rindex(b"PK\x01\x02", 0, content.index(first.filename.encode(), 200))
    for at, value in ((8, 1), (10, 99)):
        damage = bytearray(content)
        damage[central + at] = value
        damage[first.header_offset + at - 2] = value
        (tmp_path / "a.npz").write_bytes(damage)
        with pytest.raises((ValueError, zipfile.BadZipFile)):
            read_archive(tmp_path / "a.npz", ENTRIES)


def test_lengths_that_differ_are_named(arrays):
    check_lengths(arrays, ("names points labels core absent", 3))
    with pytest.raises(ValueError, match="points: expected 4 entries, received 3"):
        check_lengths(arrays, ("points", 4))
