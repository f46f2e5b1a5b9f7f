"""DeepImportance, section 3.1: important neurons, by cumulative relevance (Algorithm 1).

`pipelines.dnn.relevance` computes the relevance for single images; this module sums it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.runs.errors import InputError
from pipelines.runs.wording import count_of


def sum_relevance(relevance: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sum the relevance of each neuron of a layer over a batch of images.

    A neuron of a convolution is a feature map. Its activation is the mean over the map, but its
    relevance is the sum. The reason: relevance is a share of the output's value, and every layer
    conserves the total (section 3.1), so the shares of the parts of a map sum to the share of the
    map.

    Parameters
    ----------
    relevance : array of float32, shape (n, neurons) or (n, height, width, neurons)

    Returns
    -------
    array of float64, shape (neurons,)
    """
    axes = tuple(range(relevance.ndim - 1))
    total: NDArray[np.float64] = relevance.sum(axis=axes, dtype=np.float64)
    return total


def choose_important(cumulative: NDArray[np.float64], m: int, layer: str) -> NDArray[np.intp]:
    """Return the positions of the m neurons with the largest cumulative relevance, largest first.

    Relevance keeps its sign: a neuron with negative relevance, which speaks against the outputs, is
    not important. Of neurons with equal relevance, the first is taken.

    Parameters
    ----------
    cumulative : array of float64, shape (neurons,)
        Relevance summed over the training images.
    m : int
        Number of important neurons.
    layer : str
        Name of the layer, for the message.

    Raises
    ------
    InputError
        When the layer has fewer neurons than m.
    """
    check_number(m, len(cumulative), layer)
    return np.argsort(-cumulative, kind="stable")[:m]


def check_number(m: int, neurons: int, layer: str) -> None:
    """Raise InputError unless m is at least 1 and at most the number of neurons of the layer."""
    if not 1 <= m <= neurons:
        raise InputError(
            f"--neurons: expected 1 to {neurons}, as layer {layer!r} has "
            f"{count_of(neurons, 'neuron')}, received {m}. Change --neurons, or choose another "
            "--layer."
        )
