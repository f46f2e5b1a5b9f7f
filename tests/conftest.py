"""What several tests share: a cache of their own, and images that they draw themselves."""

import os
import pickle
import shutil
import subprocess
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image


def pytest_collection_modifyitems(items):
    """Put the page's tests first: they wait for much, while the others keep the machine busy."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/ui/"))


@pytest.fixture(scope="session")
def make_once(tmp_path_factory):
    """Return a function that calls another with a folder, once for all processes of the tests.

    What it returns is pickled for the others.
    """

    def share(name, make):
        folder_of_all = tmp_path_factory.getbasetemp()
        if "PYTEST_XDIST_WORKER" in os.environ:
            folder_of_all = folder_of_all.parent
        pickle_file = folder_of_all / f"{name}.pickle"
        with FileLock(folder_of_all / f"{name}.lock"):
            if not pickle_file.exists():
                folder = folder_of_all / f"{name}-once"
                folder.mkdir()
                pickle_file.write_bytes(pickle.dumps(make(folder)))
        return pickle.loads(pickle_file.read_bytes())

    return share


@pytest.fixture(scope="session")
def warm_cache(make_once):
    """Return a cache folder that holds the converted weights and no features."""
    from pipelines.safe.weights import read_converted_base

    def convert(folder):
        read_converted_base(folder)
        return folder

    return make_once("cache", convert)


@pytest.fixture
def cache(tmp_path, warm_cache, monkeypatch):
    """Point the tool at a cache without features for one test."""
    folder = tmp_path / "cache"
    folder.mkdir()
    for file in warm_cache.iterdir():
        os.link(file, folder / file.name)
    monkeypatch.setenv("SAFE_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def features(warm_cache, tmp_path_factory):
    """Return the one cache of the session that keeps features: pictures are extracted once."""
    folder = tmp_path_factory.mktemp("store")
    for file in warm_cache.iterdir():
        os.link(file, folder / file.name)
    return folder


@pytest.fixture(scope="module")
def store(features):
    """Point the module at the cache that keeps features."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAFE_CACHE", str(features))
        yield features


@pytest.fixture(scope="session")
def small_example(make_once):
    """Draw a small example: eyes, and a DNN that has seen little of them."""
    from examples.eyes import write_example

    def draw(folder):
        write_example(folder / "example", train=240, test=120, improvement=40, epochs=3)
        return folder / "example"

    return make_once("example", draw)


@pytest.fixture(scope="session")
def spots(make_once):
    """The small world of spots, from a DNN that knows bright ones to the unsafe set."""
    from tests.spots import make_world

    return make_once("spots", make_world)


@pytest.fixture(scope="session")
def planted(make_once):
    """Write the run of planted clusters once; who changes it takes a copy."""
    from tests.planted import write_planted_run

    return make_once("planted", write_planted_run)


@pytest.fixture(scope="session")
def planted_beside_passing(make_once):
    """Write the same with passing images once; who changes it takes a copy."""
    from tests.planted import write_planted_run

    return make_once("passing", lambda folder: write_planted_run(folder, passing=True))


@pytest.fixture(scope="session")
def draw():
    """Return a function that writes an image of random blocks, another one for each seed."""

    def write(path: Path, seed: int = 0, size: tuple[int, int] = (40, 30), **options) -> Path:
        rng = np.random.default_rng(seed)
        blocks = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        path.parent.mkdir(parents=True, exist_ok=True)
        blocks.resize(size, Image.Resampling.BICUBIC).save(path, **options)
        return path

    return write


@pytest.fixture
def full_disk(tmp_path):
    """Return a folder on a disk of 128 KiB."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("this user may not mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
