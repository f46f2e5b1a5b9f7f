"""The explanation of clusters and families: `explanation.json` and the tables beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pipelines.clusters.hints import Hint
from pipelines.clusters.parameter_findings import Finding
from pipelines.clusters.unsafe_values import Side
from pipelines.data.parameters import Kind, Problem
from pipelines.data.properties import PROPERTIES
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv, write_csv, write_text
from pipelines.runs.manifest import read_document

EXPLANATION_FILE = "explanation.json"
PROPERTIES_FILE = "properties.csv"
PARAMETERS_FILE = "parameters.csv"
PASSING_PARAMETERS_FILE = "passing_parameters.csv"
DIGITS = 5
"""Decimals of pixel properties in files."""


class Confusion(BaseModel):
    """Number of images of one label that the DNN predicts as another, in a cluster or family."""

    label: str
    prediction: str
    images: int


class ClusterExplanation(BaseModel):
    """What the images of one cluster or family share.

    Attributes
    ----------
    hints : list of Hint
        Pixel properties that distinguish its images, strongest first, at most three.
    parameters : list of Finding
        Parameters that its images share beyond chance, strongest first.
    confusions : list of Confusion
        Most frequent first; empty without the parameters `label` and `prediction`.
    unsafe_values : list of int
        The unsafe values that it covers, as positions in `Explanation.unsafe_values`.
    """

    hints: list[Hint] = []
    parameters: list[Finding] = []
    confusions: list[Confusion] = []
    unsafe_values: list[int] = []


class Family(ClusterExplanation):
    """Clusters that look different but share a situation.

    Attributes
    ----------
    family : int
        From 0, the largest first.
    clusters : list of int
        Cluster ids, the largest cluster first.
    size : int
        Number of images.
    """

    family: int
    clusters: list[int]
    size: int


class UnsafeCoverage(BaseModel):
    """An unsafe value, and the images and clusters that lie next to it (HUDD, RQ1.3).

    Attributes
    ----------
    images : int
        Number of failing images of the run that lie next to it.
    clusters : list of int
        Clusters that cover it: their average lies next to it, and their variance of the parameter
        is reduced by half or more.
    """

    parameter: str
    value: float
    side: Side
    images: int
    clusters: list[int]


class ParameterColumn(BaseModel):
    """One column of `parameters.csv`, or of `passing_parameters.csv` if the run has that file.

    Attributes
    ----------
    outcome : bool
        Whether it measures the DNN's error; it is then not compared with passing images.
    """

    name: str
    kind: Kind
    outcome: bool = False


class Explanation(BaseModel):
    """`explanation.json`: what the images of each cluster and family share.

    Attributes
    ----------
    parameters : list of ParameterColumn
        The parameters of the images, in the order of `parameters.csv`.
    parameter_files, angles : list of str
        The user's tables of parameters and names of angles; empty for none.
    unsafe_values_file : str
        The user's table of unsafe values; empty for none.
    images_with_parameters : int
        Number of images with at least one value of a parameter.
    clusters : dict of int to ClusterExplanation
        By cluster; noise has no explanation.
    families : list of Family
        Largest first; every cluster is in one family.
    unsafe_values : list of UnsafeCoverage
        In the order of the user's table.
    problems : list of Problem
        Entries of the tables that could not be used.
    notes : list of str
        The parameters that are not compared with passing images, and why.
    replacing : str
        Parts that may still belong to an earlier explanation: "tables" for the tables beside the
        file and the words in `clusters.csv`, "words" for these words alone. Otherwise the file has
        no such entry.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1
    seed: int
    parameter_files: list[str] = []
    angles: list[str] = []
    unsafe_values_file: str = ""
    images_with_parameters: int = 0
    parameters: list[ParameterColumn] = []
    clusters: dict[int, ClusterExplanation] = {}
    families: list[Family] = []
    unsafe_values: list[UnsafeCoverage] = []
    problems: list[Problem] = []
    notes: list[str] = []
    replacing: Literal["", "tables", "words"] = ""


def write_explanation(folder: Path, explanation: Explanation) -> None:
    """Write `explanation.json` into a run folder."""
    left_out = None if explanation.replacing else {"replacing"}
    text = explanation.model_dump_json(indent=1, exclude=left_out)
    write_text(folder / EXPLANATION_FILE, text + "\n")


def read_explanation(folder: Path, *, tables: bool = False) -> Explanation | None:
    """Read `explanation.json`; None if there is no such file.

    Parameters
    ----------
    tables : bool
        Whether it is read only for the tables beside it: these can be complete when the words in
        `clusters.csv` are not.

    Raises
    ------
    InputError
        When it cannot be read, or a job ended before it had written all parts of it.
    """
    mend = f"Write it anew: SAFE_Tool.py explain {folder}"
    explanation = read_document(folder / EXPLANATION_FILE, Explanation, mend)
    replacing = explanation.replacing if explanation else ""
    if replacing == "tables" or (replacing and not tables):
        again = ", with its tables" if replacing == "tables" else ""
        raise InputError(
            f"{folder} has parts of two explanations: `explain` ended while it replaced one by "
            f"the other. Explain the run again{again}: SAFE_Tool.py explain {folder}"
        )
    return explanation


def write_properties(folder: Path, paths: Sequence[str], values: NDArray[np.float64]) -> None:
    """Write `properties.csv`: a line per image, a column per property; undefined cells are empty.

    Parameters
    ----------
    values : array of float64, shape (n, p)
        The result of `properties.measure`.
    """
    header = ("path", *(property_.key for property_ in PROPERTIES))
    rows = (
        (path, *("" if np.isnan(value) else round(float(value), DIGITS) for value in row))
        for path, row in zip(paths, values, strict=True)
    )
    write_csv(folder / PROPERTIES_FILE, header, rows)


def read_properties(
    folder: Path, paths: Sequence[str], *, partly: bool = False
) -> NDArray[np.float64] | None:
    """Read `properties.csv`; None unless it holds the properties of all images.

    Parameters
    ----------
    partly : bool
        Whether the file may lack properties that older versions did not measure; these are then
        nan.

    Returns
    -------
    array of float64, shape (n, p), or None
        Values in the order of `paths`; nan if a picture does not have a property.
    """
    try:
        rows = {row["path"]: row for row in read_csv(folder / PROPERTIES_FILE)}
        keys = [property_.key for property_ in PROPERTIES]
        values = np.array(
            [
                [
                    float((rows[path].get(key) if partly else rows[path][key]) or "nan")
                    for key in keys
                ]
                for path in paths
            ]
        )
        # An image without any value could not be measured when the file was written.
        damaged = np.isnan(values).all(axis=1).any() or np.isinf(values).any()
        return None if damaged else values
    except (OSError, LookupError, ValueError):
        return None
