"""Tables that explain clusters: the user's files, and the copies that a run keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipelines.clusters.explanation import (
    PARAMETERS_FILE,
    PASSING_PARAMETERS_FILE,
    read_explanation,
)
from pipelines.clusters.manifest import ClusterParameters, PassingFigures
from pipelines.clusters.shared_parameters import FEWEST_PASSING, is_contrasted
from pipelines.clusters.unsafe_values import UnsafeValue, read_unsafe_values
from pipelines.data.parameter_tables import read_parameters
from pipelines.data.parameters import ParameterTable, Problem, join_passing, read_parameter_columns
from pipelines.data.table_rows import PassingImages
from pipelines.runs.errors import InputError
from pipelines.runs.guard import name_damaged_file
from pipelines.runs.manifest import Manifest, find_part, read_part

NO_VALUES = "no values of passing images"
BY_DEFINITION = "what makes an image fail, so that passing images differ in it by definition"


@dataclass(frozen=True)
class TableFiles:
    """The user's tables on the images: parameters and unsafe values.

    Attributes
    ----------
    parameters : tuple of Path
        Tables with one row per image; the first column is the image's relative path.
    angles : tuple of str
        Columns that are angles in degrees.
    unsafe_values : Path, optional
        Table with the columns parameter, value and side.
    """

    parameters: tuple[Path, ...] = ()
    angles: tuple[str, ...] = ()
    unsafe_values: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """Return the paths of all tables."""
        return (*self.parameters, *((self.unsafe_values,) if self.unsafe_values else ()))


NO_TABLES = TableFiles()


@dataclass(frozen=True)
class Tables:
    """What the files of `TableFiles` hold.

    Attributes
    ----------
    passing : PassingImages or None
        Passing images for which parameters may have values.
    """

    table_files: TableFiles
    table: ParameterTable
    unsafe_values: tuple[UnsafeValue, ...]
    problems: tuple[Problem, ...]
    passing: PassingImages | None = None

    def of_sample(self, paths: Sequence[str]) -> Tables:
        """Return these tables with only the sampled passing images.

        Parameters
        ----------
        paths : sequence of str
            Paths of the sample; empty for no passing images.
        """
        if self.passing is None:
            return self
        places = {path: place for place, path in enumerate(self.passing.paths)}
        kept = np.array([places[path] for path in paths], dtype=np.intp)
        parameters = tuple(
            replace(parameter, passing=parameter.passing[kept])
            for parameter in self.table.parameters
        )
        return replace(
            self,
            table=replace(self.table, parameters=parameters),
            passing=PassingImages(self.passing.folder, paths) if paths else None,
        )


def read_tables(
    table_files: TableFiles,
    images: Path,
    paths: Sequence[str],
    passing: PassingImages | None = None,
) -> Tables:
    """Read the tables that the user gives.

    Parameters
    ----------
    images : Path
        The folder that `paths` are relative to.
    passing : PassingImages, optional
        Passing images whose parameters are compared with those of failing images.

    Raises
    ------
    InputError
        When a table cannot be used at all, or angles or unsafe values come without parameters.
    """
    if not table_files.parameters:
        if table_files.angles or table_files.unsafe_values:
            what = "--angles" if table_files.angles else "--unsafe-values"
            raise InputError(f"{what} speaks of parameters: give their table by --parameters.")
        return Tables(table_files, ParameterTable((), 0, ()), (), (), passing)
    table = read_parameters(table_files.parameters, paths, table_files.angles, images, passing)
    if table_files.unsafe_values is None:
        return Tables(table_files, table, (), table.problems, passing)
    unsafe, problems = read_unsafe_values(table_files.unsafe_values, table.parameters)
    return Tables(table_files, table, unsafe, (*table.problems, *problems), passing)


def describe_uncompared(tables: Tables) -> list[str]:
    """Return notes on the parameters that are not compared with passing images, and why."""
    reasons: dict[str, list[str]] = {}
    for parameter in tables.table.parameters:
        if is_contrasted(parameter):
            continue
        known = int((~np.isnan(parameter.passing)).sum())
        few = f"values of fewer than {FEWEST_PASSING} passing images" if known else NO_VALUES
        reasons.setdefault(BY_DEFINITION if parameter.outcome else few, []).append(parameter.name)
    return [
        f"{', '.join(names)}: {reason}; compared with the other failing images."
        for reason, names in reasons.items()
    ]


def find_passing_folder(manifest: Manifest) -> Path:
    """Return the folder of the passing images; older versions did not store it separately."""
    figures = find_part(manifest, PassingFigures)
    if figures and figures.passing_folder is not None:
        return Path(figures.passing_folder)
    option = read_part(manifest, ClusterParameters).passing
    return Path(option if option and Path(option).is_dir() else manifest.folder)


def read_earlier_tables(
    folder: Path, paths: Sequence[str], passing: PassingImages | None
) -> Tables:
    """Return the tables of an earlier call from the run folder; empty if there were none."""
    explanation = read_explanation(folder, tables=True)
    if explanation is None or not explanation.parameters:
        return Tables(NO_TABLES, ParameterTable((), 0, ()), (), (), passing)
    kinds = [(column.name, column.kind) for column in explanation.parameters]
    with name_damaged_file(folder / PARAMETERS_FILE, "give the tables again"):
        table_paths, parameters = read_parameter_columns(folder / PARAMETERS_FILE, kinds)
        if table_paths != list(paths):
            raise ValueError("its images are not those of images.csv")
    parameters = tuple(
        replace(parameter, outcome=column.outcome)
        for parameter, column in zip(parameters, explanation.parameters, strict=True)
    )
    if passing is not None and (folder / PASSING_PARAMETERS_FILE).exists():
        with name_damaged_file(folder / PASSING_PARAMETERS_FILE, "give the tables again"):
            table_paths, others = read_parameter_columns(folder / PASSING_PARAMETERS_FILE, kinds)
            if table_paths != list(passing.paths):
                raise ValueError("its images are not those of passing.csv")
        parameters = tuple(map(join_passing, parameters, others))
    unsafe = tuple(
        UnsafeValue(value.parameter, value.value, value.side) for value in explanation.unsafe_values
    )
    file = explanation.unsafe_values_file
    table_files = TableFiles(
        tuple(map(Path, explanation.parameter_files)),
        tuple(explanation.angles),
        Path(file) if file else None,
    )
    table = ParameterTable(parameters, explanation.images_with_parameters, ())
    return Tables(table_files, table, unsafe, tuple(explanation.problems), passing)
