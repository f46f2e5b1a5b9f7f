"""The parts of `run.json` of a run with root cause clusters, by features or by heatmaps."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipelines.runs.manifest import Manifest, Number, Part, read_part

CLUSTER, HEATMAPS = "cluster", "heatmaps"
"""Names of the jobs."""


class TestedModel(BaseModel):
    """Data on a test that provided the images of a run.

    Attributes
    ----------
    folder : str
        Folder of the test.
    network, network_sha256 : str
        Model file, and the digest of its bytes.
    accuracy, accuracy_high, accuracy_low : float or None
        Share of images that the model gets right, and the 95 % interval.
    images : int
        Number of tested images.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    folder: str = ""
    network: str = ""
    network_sha256: str = ""
    accuracy: float | None = None
    accuracy_high: float | None = None
    accuracy_low: float | None = None
    images: int = 0


class ClusterParameters(Part):
    """The options of a search by features; see `safe.recipe.Options`.

    Attributes
    ----------
    parameters, angles, unsafe_values
        See `explanation_tables.TableFiles`.
    images : str or None
        The list of failing images; None if the run used all images of a folder.
    test : TestedModel or None
        The test that provided the images.
    """

    part: ClassVar[Literal["parameters"]] = "parameters"

    recipe: str = ""
    weights: str | None = None
    layers: tuple[str, ...] = ()
    components: int | None = None
    min_samples: int | None = None
    eps: Number | None = None
    seed: int = 0
    batch_size: int = 8
    precision: str = "auto"
    passing: str | None = None
    test_run: str | None = None
    sample: int | None = None
    groups: str | None = None
    parameters: list[str] = Field(default_factory=list)
    angles: list[str] = Field(default_factory=list)
    unsafe_values: str | None = None
    images: str | None = None
    test: TestedModel | None = None


class HeatmapsParameters(Part):
    """The options of a search by heatmaps; see `hudd.job.Options`."""

    part: ClassVar[Literal["parameters"]] = "parameters"

    model: str
    images: str | None = None
    scaling: str | None = None
    trust_model: bool = False
    layers: list[str] = Field(default_factory=list)
    rule: str
    explain: str | None = None
    seed: int = 0
    batch_size: int
    parameters: list[str] = Field(default_factory=list)
    angles: list[str] = Field(default_factory=list)
    unsafe_values: str | None = None


def read_search(manifest: Manifest) -> ClusterParameters | HeatmapsParameters:
    """Read the options of a run with clusters; InputError if they cannot be read."""
    if manifest.job == HEATMAPS:
        return read_part(manifest, HeatmapsParameters)
    return read_part(manifest, ClusterParameters)


class FeatureWeights(Part):
    """The network whose features were clustered.

    Attributes
    ----------
    recipe : str
        Key of `safe.recipe.RECIPES`.
    source : str
        Source of its weights.
    layers : tuple of str
        Layers whose features were concatenated.
    sha256 : str
        Digest of the weights.
    """

    part: ClassVar[Literal["weights"]] = "weights"

    recipe: str = ""
    source: str = ""
    layers: tuple[str, ...]
    sha256: str


class FeaturePrecision(Part):
    """Numeric precision of the features."""

    part: ClassVar[Literal["chosen"]] = "chosen"

    precision: str


class HeatmapChoices(Part):
    """How a search loaded the model, and which output its heatmaps explain.

    Attributes
    ----------
    scaling : str
        See `dnn.model.load_network`.
    explained : int, str or None
        Position of an output, or a word for the output that is explained for each image.
    input_size : (int, int) or None
        Width and height of the model's input; None in runs of older versions.
    """

    part: ClassVar[Literal["chosen"]] = "chosen"

    scaling: str
    explained: int | str | None = None
    input_size: tuple[int, int] | None = None


class ChosenLayer(Part):
    """The layer whose heatmaps were clustered, and its within-cluster distance."""

    part: ClassVar[Literal["chosen"]] = "chosen"

    layer: str
    wicd: float | None = None


class ClusterFigures(Part):
    """Number of clusters, and figures of their quality.

    Attributes
    ----------
    noise : int
        Number of images in no cluster.
    noise_share : float
        Share of noise in all images.
    inspection_share : float
        Share of all images that are inspected when five images of each cluster are.
    silhouette : float or None
        Mean over the images of clusters; None if there are fewer than two.
    """

    part: ClassVar[Literal["result"]] = "result"

    clusters: int
    noise: int
    noise_share: float
    inspection_share: float
    silhouette: float | None = None


class PassingFigures(Part):
    """Number of failures in situations that fail more often than the rest.

    Attributes
    ----------
    failing_sha256, passing_sha256 : str
        Digests of the images' paths and bytes.
    passing : int
        Number of images of the test that pass.
    passing_folder : str or None
        None in runs of older versions.
    passing_sample : int
        Number of those that are in the sample.
    failure_rate : float
        Failure rate of the test.
    situations, as_common, too_few, one_subject : int
        Number of clusters of each kind; see `rates.KINDS`.
    situation_images, as_common_images, too_few_images, one_subject_images : int
        Number of failing images in these clusters.
    groups : int or None
        Number of groups of the failing images; None if every image is independent.
    """

    part: ClassVar[Literal["result"]] = "result"

    failing_sha256: str
    passing: int
    passing_folder: str | None = None
    passing_sample: int
    passing_sha256: str
    failure_rate: float
    situations: int
    situation_images: int
    as_common: int
    as_common_images: int
    too_few: int
    too_few_images: int
    one_subject: int
    one_subject_images: int
    groups: int | None = None


class ExplanationFigures(Part):
    """Number of clusters with an explanation, and number of families.

    Attributes
    ----------
    family_inspection_share : float
        Share of all images that are inspected when five images of each family are.
    """

    part: ClassVar[Literal["result"]] = "result"

    explained: int = 0
    families: int
    family_inspection_share: float
