"""What the form of the Clusters tab asks for, and what it may not."""

import pytest

from app.page.tabs import clusters
from pipelines.data.image_lists import write_image_list
from pipelines.runs.errors import InputError
from pipelines.runs.folder import open_run
from pipelines.runs.manifest import Manifest, write_manifest


def quiet(stage, done, total):
    """Listen to nothing."""


def clustering(page, **changes):
    images = str(page.access.roots[0] / "images")
    (command,) = clusters._find(page, {"images": images} | changes)
    return command


def test_the_command_of_clusters(page):
    root = page.access.roots[0]
    usual = clustering(page)
    assert usual.folder == page.runs / "images"
    assert usual.arguments == ("cluster", str(root / "images"), "--out", str(usual.folder))
    defaults = {
        "out": " ", "recipe": "by input", "layer": [], "components": "", "seed": "0",
        "batch_size": "8", "precision": "auto", "parameters": "\n", "angles": ",", "passing": "",
    }  # fmt: skip
    assert clustering(page, **defaults).arguments == usual.arguments
    command = clustering(
        page, out=str(root / "elsewhere"), recipe="paper", layer=["fc1", "fc2"], components="5",
        eps=".5", min_samples="3", seed="7", batch_size="4", precision="float32", groups="-d",
        weights=str(root / "vgg.h5"), parameters=f"{root / 'a.csv'}\n\n{root / 'b.csv'}\n",
        angles=" turn, -yaw, ", unsafe_values=str(root / "c.csv"), passing=str(root / "runs"),
    )  # fmt: skip
    assert command.arguments == (
        "cluster", str(root / "images"), "--out", str(root / "elsewhere"),
        "--passing", str(root / "runs"), "--groups=-d", "--recipe", "paper",
        "--weights", str(root / "vgg.h5"), "--layer", "fc1", "--layer", "fc2",
        "--components", "5", "--min-samples", "3", "--eps", "0.5", "--seed", "7",
        "--batch-size", "4", "--precision", "float32", "--parameters", str(root / "a.csv"),
        "--parameters", str(root / "b.csv"), "--angles", "turn", "--angles=-yaw",
        "--unsafe-values", str(root / "c.csv"),
    )  # fmt: skip
    with pytest.raises(InputError, match="Give the folder that holds the images, or try the exam"):
        clustering(page, images=" ")


def test_a_test_names_its_images_itself(page):
    root = page.access.roots[0]
    test = page.runs / "tested"
    manifest = Manifest(job="test", command=[], folder=str(root / "images"), parameters={})
    with open_run(test, manifest, quiet):
        pass
    for images in ("", str(root)):
        command = clustering(page, images=images, passing=str(test))
        assert command.arguments == (
            "cluster", "--out", str(page.runs / "images"), "--test-run", str(test),
        )  # fmt: skip


def test_tables_beside_other_images_are_not_taken(page):
    root = page.access.roots[0]
    table = root / "parameters.csv"
    table.write_text("image,turn\n")
    with pytest.raises(InputError, match="lies beside other images than"):
        clustering(page, parameters=str(table))
    for alone in ({"angles": "turn"}, {"unsafe_values": str(root / "values.csv")}):
        with pytest.raises(InputError, match="belong to parameters: give their table, too"):
            clustering(page, **alone)


def test_the_command_that_explains_a_run(page):
    root = page.access.roots[0]
    run = page.runs / "run"
    with pytest.raises(InputError, match="Open the run to be explained first"):
        clusters._explain(page, {})
    run.mkdir()
    with pytest.raises(InputError, match="is not a run folder"):
        clusters._explain(page, {"opened": str(run)})
    manifest = Manifest(job="cluster", command=[], folder=str(root / "images"), parameters={})
    write_manifest(run, manifest)
    entries = {"opened": str(run), "seed": "7", "parameters": str(root / "a.csv"), "angles": "a"}
    (command,) = clusters._explain(page, entries)
    assert command.arguments == (
        "explain", str(run), "--parameters", str(root / "a.csv"), "--angles", "a",
    )  # fmt: skip
    assert command.folder == run


def test_a_list_of_images_elsewhere_is_not_taken(page, tmp_path):
    image_list = page.access.roots[0] / "failures.txt"
    write_image_list(image_list, tmp_path / "secret", ["a.png"])
    for field in ("images", "passing"):
        with pytest.raises(InputError, match="outside the folders"):
            clustering(page, **{field: str(image_list)})
