"""Bad inputs of all jobs: one line names the file and what to do, and no run folder is left."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.runs.manifest import MANIFEST_FILE, Manifest, write_manifest
from tests.app.cli.command import tool


@dataclass(frozen=True)
class Desk:
    """Where the good inputs are, and a folder of the test's own for bad ones."""

    good: Path
    own: Path

    def write(self, name, text):
        """Write a file; return its path."""
        (self.own / name).parent.mkdir(parents=True, exist_ok=True)
        (self.own / name).write_text(text)
        return self.own / name

    def copy(self, name):
        """Return a copy of a folder that the test may change."""
        return shutil.copytree(self.good / name, self.own / name)


@pytest.fixture(scope="module")
def good(spots, tmp_path_factory):
    """Gather good inputs in one folder, and images without labels."""
    folder = tmp_path_factory.mktemp("good")
    (folder / "dnn.keras").symlink_to(spots.model)
    for name in ("train", "test", "improvement", "run"):
        shutil.copytree(getattr(spots, name), folder / name)
    for number in range(2):
        (folder / "plain").mkdir(exist_ok=True)
        pixels = np.full((20, 24, 3), 90 * number, np.uint8)
        Image.fromarray(pixels).save(folder / "plain" / f"{number}.png")
    selection = folder / "run" / "selection.json"
    settings = json.loads(selection.read_text()) | {"folder": str(folder / "improvement")}
    selection.write_text(json.dumps(settings))
    return folder


def no_images(desk):
    return desk.write("empty/notes.txt", "no image").parent


def no_labels(desk):
    return desk.good / "plain"


def no_table(desk):
    """Return a folder whose table has two columns that may be the label."""
    folder = desk.copy("test")
    (folder / "labels.csv").write_text("path,class,target\nleft/a.png,1,2\n")
    return folder


def empty_labels(desk):
    folder = desk.copy("test")
    names = [file.relative_to(folder).as_posix() for file in folder.rglob("*.png")]
    (folder / "labels.csv").write_text("path,label\n" + "".join(f"{name},\n" for name in names))
    return folder


def no_model(desk):
    return desk.write("dnn.keras", "no model")


def no_unsafe_set(desk):
    run = desk.copy("run")
    (run / "selection.json").unlink()
    return run


def damaged_unsafe_set(desk):
    run = desk.copy("run")
    (run / "unsafe_set.csv").write_text("path,label\n")
    return run


def no_improvement(desk):
    run = desk.copy("run")
    file = run / "selection.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"folder": str(desk.own / "gone")}))
    return run


def unlabelled_unsafe_set(desk):
    run, flat = desk.copy("run"), desk.own / "flat"
    flat.mkdir()
    for file in (desk.good / "improvement").rglob("*.png"):
        shutil.copy(file, flat / f"{file.parent.name}_{file.name}")
    file = run / "selection.json"
    changed = {"folder": str(flat), "listed": ""}
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))
    table = run / "unsafe_set.csv"
    table.write_text(table.read_text().replace("left/", "left_").replace("right/", "right_"))
    return run


def unlabelled_improvement(desk):
    folder = desk.copy("improvement")
    shutil.copy(next(folder.rglob("*.png")), folder / "new.png")
    run = desk.copy("run")
    file = run / "selection.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"folder": str(folder)}))
    return run


def lambda_model(desk):
    import zipfile

    layer = {"class_name": "Lambda", "module": "keras.layers", "config": {"name": "twice"}}
    description = {"class_name": "Sequential", "config": {"layers": [layer]}}
    file = desk.own / "lambda.keras"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", json.dumps(description))
    return file


def table(text, name="table.csv"):
    """Return what writes a table."""
    return lambda desk: desk.write(name, text)


def good_file(name):
    return lambda desk: desk.good / name


def no_path(desk):
    return desk.own / "gone"


DISTANCES = "class,class,distance\ncat,dog,1\n"
MODEL, TRAIN, TEST, RUN = map(good_file, ("dnn.keras", "train", "test", "run"))
JOBS = {
    "test": ("test", MODEL, TEST),
    "heatmaps": ("heatmaps", MODEL, TEST),
    "inspect": ("inspect", MODEL, TEST),
    "inspect tables": ("inspect", "--distances", table(DISTANCES, "distances.csv")),
    "coverage": ("coverage", MODEL, "--training", TRAIN, "--test", TEST),
    "perturb": ("perturb", MODEL, TEST),
    "cluster": ("cluster", TEST),
    "retrain": ("retrain", MODEL, "--training", TRAIN, "--unsafe", RUN, "--test", TEST),
}
"""Commands whose inputs are good."""
BY_PLACE = {"MODEL": 1, "IMAGES": 2}
CASES = [
    *[(job, "MODEL", no_model, "dnn.keras is no Keras model file") for job in JOBS
      if MODEL in JOBS[job]],
    *[(job, "MODEL", no_path, "gone cannot be read: No such file or directory. Name a Keras")
      for job in JOBS if MODEL in JOBS[job]],
    *[(job, "MODEL", lambda_model, "lambda.keras: layer 'twice' is a Lambda layer")
      for job in JOBS if MODEL in JOBS[job]],
    *[(job, "IMAGES", no_images, "empty holds no usable image")
      for job in ("test", "heatmaps", "inspect", "perturb")],
    ("cluster", "FAILING", no_images, "empty holds no usable image"),
    ("test", "IMAGES", no_labels, "plain has no labels: expected a table labels.csv"),
    *[(job, "IMAGES", no_table, "labels.csv: expected one column of labels, received several")
      for job in ("test", "inspect", "perturb")],
    *[(job, "IMAGES", empty_labels, "labels.csv labels none of 80 images")
      for job in ("test", "inspect", "perturb")],
    *[(job, "--classes", no_path, "gone cannot be read") for job in JOBS
      if MODEL in JOBS[job] and job != "heatmaps"],
    *[(job, "--groups", "(nothing)", "matches none of 80 paths")
      for job in ("test", "retrain", "cluster")],
    *[(job, option, folder, words) for job in ("coverage", "retrain")
      for option in ("--training", "--test") for folder, words in (
          (no_images, "empty holds no usable image"),
          (no_table, "labels.csv: expected one column of labels, received several"),
          (empty_labels, "labels.csv labels none of 80 images"),
          (no_path, "gone does not exist. Give the folder"),
      )],
    ("coverage", "--candidates", no_images, "empty holds no usable image"),
    ("coverage", "--class", "up", "train has no image of the class 'up'. Its labels are left"),
    ("inspect tables", "--distances", table("a,b\n1,2\n"), "table.csv: expected three columns"),
    ("inspect tables", "--labels", table("image,labels\na,cow\n"), "the class 'cow' has no dist"),
    ("cluster", "--weights", table("no weights"), "table.csv is no HDF5 file. Give --weights"),
    ("cluster", "--passing", no_images, "0 passing images of"),
    ("retrain", "--training", no_labels, "plain has no labels: expected a table labels.csv"),
    ("retrain", "--test", no_labels, "plain has no labels: expected a table labels.csv"),
    ("retrain", "--validation", no_labels, "plain has no labels: expected a table labels.csv"),
    ("retrain", "--test", TRAIN, "share 80 images, such as left/bright_1_000.png. Take them out"),
    ("retrain", "--unsafe", no_unsafe_set, "run has no unsafe set: select one first"),
    ("retrain", "--unsafe", damaged_unsafe_set, "unsafe_set.csv"),
    ("retrain", "--unsafe", no_improvement, "gone does not exist. Give the folder"),
    ("retrain", "--unsafe", unlabelled_unsafe_set, "fill in the column label of"),
    ("retrain --compare", "--unsafe", unlabelled_improvement, "1 image of"),
]  # fmt: skip


def words_of(job, what, value, desk):
    """Return the command with one of its inputs replaced."""
    job, *flags = job.split(" --")
    words = list(JOBS[job])
    if what in BY_PLACE:
        words[BY_PLACE[what]] = value
    elif what == "FAILING":
        words[1] = value
    elif what in words:
        words[words.index(what) + 1] = value
    else:
        words += [what, value]
    if what == "--labels":
        words += ["--predictions", value]
    if what == "--passing":
        words += ["--recipe", "contrast"]
    words += [f"--{flag}" for flag in flags]
    return [word(desk) if callable(word) else word for word in words]


def tree(folder):
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    ("job", "what", "value", "words"),
    CASES,
    ids=[f"{c[0]} {c[1]} {getattr(c[2], '__name__', c[2])}" for c in CASES],
)
def test_a_bad_input_leaves_no_run_folder(good, tmp_path, job, what, value, words):
    command = words_of(job, what, value, Desk(good, tmp_path))
    out, earlier = tmp_path / "out", tmp_path / "earlier"
    result = tool(*command, "--out", out)
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert words in line
    assert line.startswith("Error: ")
    assert not out.exists()
    earlier.mkdir()
    manifest = Manifest(job=command[0], command=[], folder="", parameters={}, ended="finished")
    write_manifest(earlier, manifest)
    (earlier / "rejected.txt").write_text("a file of the earlier run")
    before = tree(earlier)
    result = tool(*command, "--out", earlier, "--overwrite")
    assert (result.returncode, result.stderr.splitlines()) == (1, [line])
    assert tree(earlier) == before
    assert (earlier / MANIFEST_FILE).is_file()
