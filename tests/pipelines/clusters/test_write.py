"""Writing clusters over an earlier run, killed before every rename and removal."""

import shutil

import numpy as np
import pytest

from pipelines.clusters.clusters import RootCauseClusters, read_words, save_words
from pipelines.clusters.explanation_tables import NO_TABLES
from pipelines.clusters.results import read_results
from pipelines.clusters.verdicts import find_earlier_words
from pipelines.clusters.write import OUTPUTS, finish
from pipelines.data.images import check_image
from pipelines.runs.errors import InputError
from pipelines.runs.files import write_text
from pipelines.runs.folder import open_run
from pipelines.runs.manifest import Manifest
from tests.killed import kill_before

OLD, NEW = (0, 0, 0, 0, 1, 1, 1), (0, 0, 0, 0, -1, 1, 1)
WORDS = {"name": "glare", "verdict": "plausible cause"}
APART = {"run.json", "status.json", ".lock"}


@pytest.fixture(scope="module")
def images(tmp_path_factory, draw):
    folder = tmp_path_factory.mktemp("images")
    for seed in range(len(OLD)):
        draw(folder / f"{seed}.png", seed)
    return folder


def write(images, out, labels):
    paths = tuple(f"{seed}.png" for seed in range(len(labels)))
    numbers = np.arange(len(labels), dtype=np.float32)
    clusters = RootCauseClusters(
        paths=paths,
        digests=tuple(check_image(images, path).digest for path in paths),
        labels=np.array(labels, dtype=np.int32),
        core=np.array(labels) >= 0,
        silhouettes=numbers / 10,
        centre_distances=numbers,
        places=np.stack([numbers, numbers], axis=1),
    )
    manifest = Manifest(job="cluster", command=[], folder=str(images), parameters={})
    with open_run(out, manifest, lambda *step: None, OUTPUTS, overwrite=True) as run:
        finish(
            run, images, clusters, NO_TABLES, {0: 0, 1: 1}, [], seed=0,
            write_more=lambda: write_text(out / "reduction.npz", repr(labels)),
        )  # fmt: skip


def files_of(run):
    files = [file for file in run.rglob("*") if file.is_file() and file.suffix != ".tmp"]
    names = {file.relative_to(run).as_posix(): file.read_bytes() for file in files}
    return {name: content for name, content in names.items() if name not in APART}


def test_a_killed_job_leaves_no_mixture_and_the_same_command_ends_as_if_nothing_was(
    images, tmp_path
):
    old, whole, run = (tmp_path / name for name in ("old", "whole", "run"))
    write(images, old, OLD)
    save_words(old, 0, WORDS)
    shutil.copytree(old, whole)
    # The words move on with the name of the folder that they were in.
    write(images, whole, NEW)
    before, after = files_of(old), files_of(whole)
    step = refusals = 0
    while True:
        shutil.copytree(old, run)
        if not kill_before(step, lambda: write(images, run, NEW)):
            break
        files = files_of(run)
        of_old = {name for name in files if files[name] == before.get(name) != after.get(name)}
        of_new = {name for name in files if files[name] == after.get(name) != before.get(name)}
        try:
            results = read_results(run)
        except InputError as error:
            refusals += 1
            assert "--overwrite" in str(error)
        else:
            assert not (of_old and of_new), step
            if results.clusters is not None:
                assert tuple(results.clusters.labels.tolist()) == (OLD if of_old else NEW)
        assert any(WORDS in e.words.values() for e in find_earlier_words(run, str(images)))
        write(images, run, NEW)
        assert files_of(run) == after, step
        assert not list(run.rglob("*.tmp")), step
        assert read_words(run) == {0: WORDS}
        shutil.rmtree(run)
        step += 1
    assert step > 30
    assert refusals > 5
