"""Failing images of three causes, and the run of them."""

from dataclasses import replace

import pytest
from PIL import Image

from examples.sampling import sample_eyes
from tests.causes import spoil
from tests.pipelines.safe.job_runs import find


@pytest.fixture(scope="session")
def failures(tmp_path_factory):
    """Draw 30 failing images of three causes, and five files that cannot be used."""
    folder = tmp_path_factory.mktemp("failures")
    eyes = sample_eyes(30, seed=7, complete=False)
    for place, sample in enumerate(eyes):
        eye = replace(sample, light=1.0, openness=32.0, head_yaw=190.0)
        name = f"{('dim', 'blurred', 'noisy')[place // 10]}/eye_{place:02d}.png"
        (folder / name).parent.mkdir(exist_ok=True)
        spoil(place, eye, [7, place]).save(folder / name)
    whole = (folder / "dim" / "eye_00.png").read_bytes()
    (folder / "copy of eye 00.png").write_bytes(whole)
    (folder / "truncated.png").write_bytes(whole[:-5000])
    (folder / "empty.png").touch()
    (folder / "notes.txt").write_text("blurred ones look worst")
    Image.new("1", (10_000, 6_000)).save(folder / "huge.png")
    (folder / "nowhere.png").symlink_to(folder / "missing.png")
    return folder


@pytest.fixture(scope="session")
def run(failures, features, tmp_path_factory):
    """Return the run folder of the failures with default options."""
    out = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAFE_CACHE", str(features))
        find(failures, out)
    return out
