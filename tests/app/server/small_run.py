"""A run of ten images that a test may damage: two clusters, noise, and a rejected file."""

import numpy as np

from pipelines.clusters.explanation import (
    ClusterExplanation,
    Confusion,
    Explanation,
    Family,
    ParameterColumn,
    UnsafeCoverage,
)
from pipelines.clusters.hints import Hint
from pipelines.clusters.parameter_findings import Finding
from pipelines.data.parameters import Parameter, Problem
from pipelines.data.properties import PROPERTIES
from pipelines.runs.files import read_csv
from pipelines.runs.manifest import Manifest

LABELS = (0, 1, 0, -1, 0, 1, 1, 0, -1, 0)
NAMES = ("=1+1.png", "<b>bold</b>.png", "-dash.png", *(f"eye {i}.png" for i in range(7)))


def manifest(**changes) -> Manifest:
    fields = {"job": "cluster", "command": ["cluster"], "folder": "/images", "parameters": {}}
    return Manifest(**fields | changes)


def content(run):
    """Return the bytes of every file of a run by its path."""
    files = [file for file in run.rglob("*") if file.is_file() and file.name != ".lock"]
    return {file.relative_to(run).as_posix(): file.read_bytes() for file in files}


def quiet(stage, done, total):
    """Listen to nothing."""


HOSTILE = '=<img src=x onerror="1">, ${x}'
COLUMNS = (("yaw", "number"), ("turn", "angle"), (HOSTILE, "category"))


def explanation(**changes) -> Explanation:
    """Say something of every kind of the two clusters of `run`; the two are one family."""
    hint = Hint("brightness", 0.9, 0.1, 0.4, 3.0, "darker than the rest: mean brightness 0.1")
    finding = Finding("yaw", "number", 0.96, 0.4, 218, 190, "", "yaw: variance -96 %")
    words = {"hints": [hint], "parameters": [finding]}
    confusion = Confusion(label="TopLeft", prediction=HOSTILE, images=4)
    fields = {
        "seed": 0,
        "parameter_files": ["/tables/a.csv"],
        "angles": ["turn"],
        "unsafe_values_file": "/tables/unsafe.csv",
        "images_with_parameters": 9,
        "parameters": [ParameterColumn(name=name, kind=kind) for name, kind in COLUMNS],
        "clusters": {
            0: ClusterExplanation(**words, confusions=[confusion], unsafe_values=[1]),
            1: ClusterExplanation(),
        },
        "families": [Family(family=0, clusters=[0, 1], size=8, **words)],
        "unsafe_values": [
            UnsafeCoverage(parameter="yaw", value=160, side="near", images=2, clusters=[]),
            UnsafeCoverage(parameter="turn", value=22.5, side="at least", images=5, clusters=[0]),
        ],
        "problems": [Problem("a.csv", 4, "yaw", "expected a number, received 'x': left out")],
    }
    return Explanation(**fields | changes)


PROPERTY_VALUES = np.arange(10.0 * len(PROPERTIES)).reshape(10, -1)
PROPERTY_VALUES[3, 0] = np.nan
PARAMETERS = (
    Parameter("yaw", "number", np.array([*np.linspace(-40.5, 40, 9), np.nan])),
    Parameter("turn", "angle", np.linspace(0, 359.75, 10)),
    Parameter(HOSTILE, "category", np.array([*[0, 1, 2] * 3, np.nan]), ("-1", "=1", "b")),
)


def words(run):
    return [(row["name"], row["note"]) for row in read_csv(run / "clusters.csv")]
