"""What the form of the Heatmaps tab asks for, and what it may not."""

import pytest

from app.page.tabs import heatmaps
from pipelines.data.image_lists import write_image_list
from pipelines.runs.errors import InputError
from pipelines.runs.folder import open_run
from pipelines.runs.manifest import Manifest


def quiet(stage, done, total):
    """Listen to nothing."""


def commands(page, only_test=False, **changes):
    root = page.access.roots[0]
    entries = {"model": str(root / "dnn.keras"), "images": str(root / "images")} | changes
    return (heatmaps._test if only_test else heatmaps._find)(page, entries)


def test_a_test_comes_before_heatmaps_unless_all_images_have_failed(page):
    first, second = commands(page)
    assert first.arguments[:1] == ("test",)
    assert second.arguments[:1] == ("heatmaps",)
    assert second.arguments[2] == str(first.folder / "failures.txt")
    (alone,) = commands(page, failing=True)
    assert alone.arguments[:1] == ("heatmaps",)
    (evaluation,) = commands(page, only_test=True, task="numbers", error_threshold="4.5")
    assert evaluation.arguments[-4:] == ("--task", "numbers", "--error-threshold", "4.5")
    evaluation_of_groups, clustering = commands(page, groups=" -- drive ")
    assert evaluation_of_groups.arguments[-1] == "--groups=-- drive"
    assert not any("--groups" in argument for argument in clustering.arguments)
    both = commands(page, scaling="torch", layer="conv, dense", rule="z+", explain=" 3 ")
    assert all(job.arguments[5:7] == ("--scaling", "torch") for job in both)
    assert both[1].arguments[7:] == ("--layer", "conv", "--layer", "dense", "--explain", "3")
    with pytest.raises(InputError, match="Give the folder of labelled images"):
        commands(page, only_test=True, images=" ")
    with pytest.raises(InputError, match="Give the folder that holds the images"):
        commands(page, images=" ")


def test_a_list_of_images_elsewhere_is_not_taken(page, tmp_path):
    image_list = page.access.roots[0] / "failures.txt"
    write_image_list(image_list, tmp_path / "secret", ["a.png"])
    with pytest.raises(InputError, match="outside the folders that this page may use"):
        commands(page, images=str(image_list))


def test_a_finished_test_is_not_replaced_by_that_of_another_model(page):
    images = str(page.access.roots[0] / "images")
    (first,) = commands(page, only_test=True)
    manifest = Manifest(job="test", command=[], folder=images, parameters={})
    with open_run(first.folder, manifest, quiet):
        pass
    (second,) = commands(page, only_test=True)
    assert second.folder != first.folder
    assert "--overwrite" not in second.arguments
