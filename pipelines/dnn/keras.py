"""TensorFlow and Keras, imported when a job needs them, set up the same way everywhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


def import_keras() -> tuple[ModuleType, ModuleType]:
    """Import Keras with TensorFlow as its backend; the first import takes seconds.

    Returns
    -------
    keras, tensorflow : modules
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # TensorFlow turns oneDNN off on CPUs without AVX-512, although it is a quarter faster there.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with _silenced_stderr():
        import keras
        import tensorflow
    return keras, tensorflow


@contextmanager
def _silenced_stderr() -> Iterator[None]:
    """Discard what native code prints.

    TensorFlow reports missing GPU libraries before its log level takes effect. A failing import
    still raises.
    """
    stderr = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(nowhere)
        os.close(stderr)
