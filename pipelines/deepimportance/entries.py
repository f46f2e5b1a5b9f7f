"""The entries of `coverage.json`: the job writes with them, and all others read with them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipelines.runs.manifest import Document
from pipelines.runs.wording import count_of

Count = Annotated[int, Field(ge=0, lt=1 << 53)]
"""A number that JavaScript tells exactly."""
Share = Annotated[float, Field(ge=0, le=1)]
Digits = Annotated[str, Field(pattern="^[0-9]+$")]
"""A number of combinations in digits; it may be too large for a JSON number."""


class TrainingEntry(Document):
    """The coverage of the training images."""

    images: Count
    folder: str
    covered: Count
    coverage: Share


class NeuronEntry(Document):
    """An important neuron: its regions, and how many images of each set they hold.

    Attributes
    ----------
    rank : int
        From 1, the neuron with the most relevance first.
    neuron : int
        Position in the layer.
    relevance, share : float
        Cumulative relevance, and its share of the positive relevance of the layer.
    silhouette : float or None
        None if the neuron is constant in training.
    centroids, borders : list of float
        Centroids and borders of the regions, ascending; a border lies between two regions.
    sizes : list of int
        Number of training images of each region.
    low, high : float
        Ends of the histograms.
    training : list of int
        Histogram of the training images.
    tests, inside : list of list of int
        For each test set, its histogram, and the number of its images in each region.
    """

    rank: Count
    neuron: Count
    relevance: float
    share: float
    silhouette: float | None
    centroids: list[float]
    borders: list[float]
    sizes: list[Count]
    low: float
    high: float
    training: list[Count]
    tests: list[list[Count]]
    inside: list[list[Count]]

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        regions = len(self.centroids)
        of_regions = (self.sizes, *self.inside)
        if len(self.borders) + 1 != regions or any(len(row) != regions for row in of_regions):
            raise ValueError(f"not all lists are of {regions} regions")
        if len(self.inside) != len(self.tests):
            raise ValueError("the histograms are of another number of test sets than the regions")
        return self


class CoveredEntry(Document):
    """A combination that a test set covers, with the number of images and one of them."""

    combination: str
    images: Count
    training: Count
    example: str
    thumbnail: str


class UncoveredEntry(Document):
    """A combination that a test set does not cover.

    Attributes
    ----------
    training : int
        Number of training images.
    differing : int
        Number of neurons in which it differs from the nearest covered combination.
    example : str
        A training image; empty if there is none, and then `thumbnail` is None.
    """

    combination: str
    training: Count
    differing: Count
    example: str
    thumbnail: str | None


class LoneEntry(Document):
    """A test image that alone covers its combination."""

    path: str
    combination: str
    thumbnail: str


class TestSetEntry(Document):
    """What one test set covers, and what it does not cover.

    Attributes
    ----------
    accuracy : float or None
        None without labels.
    trained_uncovered : int
        Number of combinations that training images exercise, and this set does not.
    growth : list of (int, int)
        Numbers of images at which the number of covered combinations grew, and that number.
    expected : list of (int, float)
        Numbers of images, and the number of combinations they cover in a random order, on average.
    alone : int
        Number of images that alone cover their combination; `contributors` are the first ones.
    """

    __test__ = False  # pytest takes it for a test otherwise

    name: str
    folder: str
    images: Count
    accuracy: Share | None
    covered: Count
    coverage: Share
    trained_uncovered: Count
    growth: list[tuple[Count, Count]]
    expected: list[tuple[Count, float]]
    table: list[CoveredEntry]
    missing: list[UncoveredEntry]
    alone: Count
    contributors: list[LoneEntry]


class CriterionCell(Document):
    """The value of a criterion for a test set; all None if it cannot be measured.

    Attributes
    ----------
    added : float or None
        Value for the first test set and this one together; None for the first one.
    """

    covered: Count | None = None
    total: Digits | None = None
    value: Share | None = None
    added: Share | None = None


class CriterionEntry(Document):
    """A criterion, with its value for each test set."""

    criterion: str
    tests: list[CriterionCell]


class NewImageEntry(Document):
    """A new image that may widen the first test set.

    Attributes
    ----------
    adds : bool
        Whether it is the first image of its combination.
    differing : int
        Number of neurons in which it differs from the nearest covered combination.
    same : int
        Number of new images of its combination.
    """

    path: str
    combination: str
    adds: bool
    differing: Count
    same: Count
    thumbnail: str


class WideningEntry(Document):
    """The contribution of new images to the first test set.

    Attributes
    ----------
    images, adds : int
        Number of new images, and of combinations that they add.
    widening : int
        Number of images of these combinations.
    covered, coverage : int and float
        Coverage of the test set and the new images together.
    rows : list of NewImageEntry
        The first new images.
    """

    folder: str
    images: Count
    adds: Count
    widening: Count
    covered: Count
    coverage: Share
    rows: list[NewImageEntry]


class CoverageDocument(Document):
    """`coverage.json`: everything that the page shows of a run of coverage.

    Attributes
    ----------
    combinations : str
        Number of all combinations, in digits.
    tests : list of TestSetEntry
        At least one.
    widening : WideningEntry or None
        None without new images.
    """

    schema_version: Literal[1] = 1
    layer: str
    neurons_of_layer: Count
    combinations: Digits
    training: TrainingEntry
    neurons: list[NeuronEntry]
    tests: Annotated[list[TestSetEntry], Field(min_length=1)]
    criteria: list[CriterionEntry]
    widening: WideningEntry | None

    @model_validator(mode="after")
    def _check_sets(self) -> Self:
        numbers = {len(neuron.tests) for neuron in self.neurons}
        numbers |= {len(row.tests) for row in self.criteria}
        if numbers - {len(self.tests)}:
            raise ValueError(
                f"expected values of {count_of(len(self.tests), 'test set')} everywhere"
            )
        return self
