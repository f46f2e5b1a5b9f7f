"""What is said of a run's clusters and families: `explanation.json` and the tables beside it."""

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
from pipelines.runs.files import read_csv, write_csv, write_text
from pipelines.runs.manifest import read_document

EXPLANATION_FILE = "explanation.json"
PROPERTIES_FILE = "properties.csv"
PARAMETERS_FILE = "parameters.csv"
PASSING_PARAMETERS_FILE = "passing_parameters.csv"
DIGITS = 5
"""Decimals that pixel properties are kept with."""


class Confusion(BaseModel):
    """How many images of a label the DNN takes for something else, within a group."""

    label: str
    prediction: str
    images: int


class ClusterExplanation(BaseModel):
    """What is said of one cluster, or of one family.

    Attributes
    ----------
    hints : list of Hint
        What sets its pictures apart, strongest first, at most three.
    parameters : list of Finding
        Parameters that its images share beyond chance, strongest first.
    confusions : list of Confusion
        Most frequent first; empty without columns `label` and `prediction`.
    unsafe_values : list of int
        Positions in `Explanation.unsafe_values` of those that it covers.
    """

    hints: list[Hint] = []
    parameters: list[Finding] = []
    confusions: list[Confusion] = []
    unsafe_values: list[int] = []


class Family(ClusterExplanation):
    """Clusters that look different and share their situation.

    Attributes
    ----------
    family : int
        From 0, the largest first.
    clusters : list of int
        Largest first.
    size : int
        Images.
    """

    family: int
    clusters: list[int]
    size: int


class UnsafeCoverage(BaseModel):
    """One unsafe value, and who lies next to it (HUDD, RQ1.3).

    Attributes
    ----------
    images : int
        Failing images of the run that lie next to it.
    clusters : list of int
        Clusters that do: their variance of the parameter is reduced by half or more.
    """

    parameter: str
    value: float
    side: Side
    images: int
    clusters: list[int]


class ParameterColumn(BaseModel):
    """One column of `parameters.csv`, and of `passing_parameters.csv` where there is one.

    Attributes
    ----------
    outcome : bool
        Whether it says how wrong the DNN is, and is not compared with passing images.
    """

    name: str
    kind: Kind
    outcome: bool = False


class Explanation(BaseModel):
    """`explanation.json`: what a run's clusters and families have in common.

    Attributes
    ----------
    parameters : list of ParameterColumn
        What the images' parameters are, in the order of `parameters.csv`.
    parameter_files, angles : list of str
        What was given; empty for none.
    unsafe_values_file : str
        The same.
    images_with_parameters : int
    clusters : dict of int to Explained
        By cluster; noise is not explained.
    families : list of Family
        Largest first; every cluster is in one.
    unsafe_values : list of UnsafeCoverage
        As in the file.
    problems : list of Problem
        What of the files could not be used.
    notes : list of str
        Which parameters are not compared with passing images, and why.
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


def write_explanation(folder: Path, explanation: Explanation) -> None:
    """Write `explanation.json` into a run folder."""
    write_text(folder / EXPLANATION_FILE, explanation.model_dump_json(indent=1) + "\n")


def read_explanation(folder: Path) -> Explanation | None:
    """Read `explanation.json`; None where there is none.

    Raises
    ------
    InputError
        When it cannot be read.
    """
    mend = f"Write it anew: SAFE_Tool.py explain {folder}"
    return read_document(folder / EXPLANATION_FILE, Explanation, mend)


def write_properties(folder: Path, paths: Sequence[str], values: NDArray[np.float64]) -> None:
    """Write `properties.csv`: a line an image, a column a pixel property, empty where undefined.

    Parameters
    ----------
    values : array of float64, shape (n, p)
        As `properties.measure` gives them.
    """
    header = ("path", *(each.key for each in PROPERTIES))
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
        Whether properties may be missing that an older version did not measure: they are nan.

    Returns
    -------
    array of float64, shape (n, p)
        In the order of `paths`; nan where a picture does not have a property.
    """
    try:
        rows = {row["path"]: row for row in read_csv(folder / PROPERTIES_FILE)}
        values = np.array(
            [
                [
                    float((rows[path].get(each.key) if partly else rows[path][each.key]) or "nan")
                    for each in PROPERTIES
                ]
                for path in paths
            ]
        )
        # A picture of which nothing is known could not be measured then.
        return None if np.isnan(values).all(axis=1).any() else values
    except (OSError, LookupError, ValueError):
        return None
