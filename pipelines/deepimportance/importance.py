"""DeepImportance, section 3.1: the neurons that decide, by cumulative relevance (Algorithm 1).

The relevance of single images comes from `pipelines.dnn.relevance`; here it is added up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.runs.errors import InputError


def neuron_relevance(relevance: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sum up the relevance of each neuron of a layer over a batch of images.

    A neuron of a convolution is its feature map.  Its relevance is the sum over the map, and not
    the mean as of its activation: relevance is a share of the output's value, which every layer
    conserves (section 3.1), so that the shares of a map's parts add up to that of the map.

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


def most_important(cumulative: NDArray[np.float64], m: int, layer: str) -> NDArray[np.intp]:
    """Return the positions of the m neurons with the largest cumulative relevance, largest first.

    Relevance keeps its sign: what speaks against the outputs is not important for them.  Of equal
    ones the first is taken.

    Parameters
    ----------
    cumulative : array of float64, shape (neurons,)
    layer : str
        For the error's words.

    Raises
    ------
    InputError
        When the layer has fewer neurons than m.
    """
    check_number(m, len(cumulative), layer)
    return np.argsort(-cumulative, kind="stable")[:m]


def check_number(m: int, neurons: int, layer: str) -> None:
    """Raise InputError unless a layer has as many neurons as are asked for."""
    if not 1 <= m <= neurons:
        raise InputError(
            f"--neurons: expected 1 to {neurons}, as layer {layer!r} has {neurons} neurons, "
            f"received {m}. Give fewer, or another --layer."
        )
