"""The feature store, a cache: features are extracted only once.

The store is one SQLite file in the user's cache, with one row per image, weights, layers and
precision. A batch is written in one transaction, so a job that is killed loses at most one batch.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.runs.errors import InputError

STORE_FILE = "features-1.sqlite"
SECONDS_TO_WAIT = 60.0
ONE_ROW = "WHERE (image, weights, layers, precision) = (?, ?, ?, ?)"


@dataclass(frozen=True)
class FeatureStore:
    """The rows of one network in the feature store.

    Attributes
    ----------
    network : tuple of (weights digest, layers, precision)
        Precisions are stored separately, because their features differ in the third digit.
    width : int
        Number of features of an image.
    """

    connection: sqlite3.Connection
    network: tuple[str, str, str]
    width: int

    def missing(self, digests: Sequence[str]) -> set[str]:
        """Return the image digests that have no features yet.

        A damaged row (wrong length, text, or numbers that are not finite) is removed, and its image
        counts as missing. Time grows with the number of rows of the network.
        """
        rows = self.connection.execute(
            "SELECT image FROM features WHERE (weights, layers, precision) = (?, ?, ?)",
            self.network,
        )
        kept = set(digests) & {image for (image,) in rows}
        damaged = [image for image in sorted(kept) if not self._is_whole(image)]
        with self.connection:
            self.connection.executemany(
                f"DELETE FROM features {ONE_ROW}", [(image, *self.network) for image in damaged]
            )
        return set(digests) - kept.difference(damaged)

    def _is_whole(self, image: str) -> bool:
        vector = self._vector(image)
        if not isinstance(vector, bytes) or len(vector) != self.width * 4:
            return False
        return bool(np.isfinite(np.frombuffer(vector, dtype="<f4")).all())

    def _vector(self, image: str) -> object:
        (vector,) = self.connection.execute(
            f"SELECT vector FROM features {ONE_ROW}", (image, *self.network)
        ).fetchone()
        return vector

    def read(self, digests: Sequence[str]) -> NDArray[np.float32]:
        """Return the features of images; all of them have to be in the store.

        Returns
        -------
        array of float32, shape (len(digests), width)
        """
        features = np.empty((len(digests), self.width), dtype=np.float32)
        for row, image in zip(features, digests, strict=True):
            vector = self._vector(image)
            assert isinstance(vector, bytes)  # `missing` removes all other rows
            row[:] = np.frombuffer(vector, dtype="<f4").reshape(self.width)
        return features

    def write(self, digests: Sequence[str], features: NDArray[np.float32]) -> None:
        """Write the features of a batch, all or none.

        Parameters
        ----------
        features : array of float32, shape (len(digests), width)
        """
        rows = [
            (image, *self.network, vector.astype("<f4").tobytes())
            for image, vector in zip(digests, features, strict=True)
        ]
        with self.connection:
            self.connection.executemany(
                "INSERT OR IGNORE INTO features VALUES (?, ?, ?, ?, ?)", rows
            )


@contextmanager
def open_store(
    cache: Path, weights: str, layers: Sequence[str], precision: str, width: int
) -> Iterator[FeatureStore]:
    """Open the feature store of a cache folder for one network; create it if missing.

    Raises
    ------
    InputError
        When the file is damaged or cannot be written.
    """
    path = cache / STORE_FILE
    try:
        connection = sqlite3.connect(path, timeout=SECONDS_TO_WAIT)
        # Text that is not UTF-8 means damage to one row, not to the store.
        connection.text_factory = lambda text: text.decode("utf-8", "replace")
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS features (image TEXT, weights TEXT, layers TEXT,"
                " precision TEXT, vector BLOB, PRIMARY KEY (image, weights, layers, precision))"
            )
            yield FeatureStore(connection, (weights, "+".join(layers), precision), width)
        finally:
            connection.close()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise InputError(
                f"the disk of the cache folder {cache} is full. Features extracted so far are "
                "kept. Make room there, or set SAFE_CACHE to a folder on another disk."
            ) from error
        raise InputError(
            f"the feature store {path} cannot be used ({error}). If it is locked, wait for the "
            "other job; if it is damaged, delete it (features will be extracted again); if the "
            "folder may not be written, set SAFE_CACHE to another folder."
        ) from error
