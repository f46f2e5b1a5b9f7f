"""Options of the commands on how well a test set exercises a DNN."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from app.commands.common import (
    MODEL,
    OVERWRITE,
    Classes,
    ModelFile,
    Overwrite,
    RunFolder,
    Scaling,
    TrustModel,
)
from app.commands.option import Option
from app.numbers import COUNT, PART, REGIONS, SEED

RULES = ("epsilon", "z+", "alpha-beta")


@dataclass(frozen=True, kw_only=True)
class CoverageOptions:
    """Options of `coverage`."""

    model: Annotated[Path, replace(MODEL, label="Keras model whose tests are measured")]
    training: Annotated[
        Path,
        Option(
            "Folder of the training images; read only.",
            metavar="DIR",
            label="Folder of training images",
            needed="the folder of training images",
            images=True,
        ),
    ]
    test: Annotated[
        tuple[Path, ...],
        Option(
            "Folder of a test set; repeat for several. Read only.",
            metavar="DIR",
            label="Folder of the test set",
            needed="the folder of the test set",
            images=True,
        ),
    ]
    out: RunFolder
    overwrite: Overwrite = False
    layer: Annotated[
        str | None,
        Option(
            "Layer whose neurons are measured: Dense, Conv2D and similar. (default: the second to "
            "last of these)",
            metavar="NAME",
            label="Layer",
            info="Dense or convolution. Empty: the second to last with neurons.",
        ),
    ] = None
    neurons: Annotated[
        int,
        Option(
            "Number of important neurons, the paper's m.",
            numbers=COUNT,
            label="Important neurons",
            info="The paper's m.",
        ),
    ] = 6
    class_: Annotated[
        str | None,
        Option(
            "Use only the images of one class.",
            metavar="NAME",
            label="One class alone",
            info="Empty: all.",
        ),
    ] = None
    candidates: Annotated[
        Path | None,
        Option(
            "Folder of new images; they are ranked by what they add to the first test set.",
            metavar="DIR",
            label="New images",
            info="A folder; its images are ranked by how much they widen the first test set.",
            images=True,
        ),
    ] = None
    clusters: Annotated[
        int,
        Option(
            "Largest number of regions of a neuron's activations that is tried.",
            numbers=REGIONS,
            label="Most regions of a neuron",
        ),
    ] = 4
    rule: Annotated[
        str,
        Option(
            "Rule of relevance: epsilon (the paper's Equation 1), z+ or alpha-beta.",
            label="Rule of relevance",
            info="epsilon: the paper's.",
            choices=RULES,
        ),
    ] = "epsilon"
    scaling: Scaling = None
    classes: Classes = None
    trust_model: TrustModel = False


@dataclass(frozen=True, kw_only=True)
class PerturbOptions:
    """Options of `perturb`."""

    model: ModelFile
    images: Annotated[
        Path, Option("Folder of images, or a list of them; read only.", by_place=True)
    ]
    out: Annotated[Path, Option("New or empty folder for the perturbed images.")]
    overwrite: Annotated[
        bool, replace(OVERWRITE, help="Replace the perturbed images that --out holds.")
    ] = False
    how: Annotated[
        str,
        Option(
            "gaussian: noise on the 2 % most relevant pixels; gaussian-random: noise on equally "
            "many random pixels; fgsm, bim: adversarial, by the model's gradient."
        ),
    ] = "gaussian"
    strength: Annotated[
        float | None,
        Option(
            "Share of the pixel range: standard deviation of the noise, or largest change of a "
            "pixel by an attack. (default: 0.3 for noise, 0.1 for an attack)",
            numbers=PART,
        ),
    ] = None
    seed: Annotated[int, Option("Seed of the noise.", numbers=SEED)] = 0
    scaling: Scaling = None
    classes: Classes = None
    trust_model: TrustModel = False
