"""Images that the commands work on."""

import pytest


@pytest.fixture
def images(tmp_path, draw):
    folder = tmp_path / "images"
    for seed in range(12):
        draw(folder / f"{seed:02d}.png", seed)
    return folder
