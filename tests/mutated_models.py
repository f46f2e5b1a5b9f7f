"""Damage to what a Keras model file says: its description of layers, and its groups of weights."""

import io
import json
import zipfile

import h5py
import numpy as np

from tests.mutations import Damage, damage_bytes, damage_document, draw_from, edit, places

NAMES = ("NoSuchLayer", "Lambda", "os.system", "Dense", "", "x" * 10_000, "Functional")
"""Put where the description names a class or a module."""


def damage_keras(content: bytes, rng: np.random.Generator) -> Damage:
    """Change the description, the members or the weights of a `.keras` file, with checksums."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = draw_from(list(members), rng)
    place = rng.random()
    if place < 0.55:
        name = "config.json"
        what, members[name] = _damage_description(members[name], rng)
    elif place < 0.85:
        name = "model.weights.h5"
        damage = _damage_weights if rng.random() < 0.7 else damage_bytes
        what, members[name] = damage(members[name], rng)
    elif place < 0.9:
        what, members[name] = "empty", b""
    elif place < 0.95:
        what, members[f"../{name}"] = "outside", members.pop(name)
    else:
        what = "gone"
        del members[name]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for member, held in members.items():
            archive.writestr(member, held)
    return f"{name}: {what}", file.getvalue()


def damage_h5(content: bytes, rng: np.random.Generator) -> Damage:
    """Change the description, another attribute or the weights of an `.h5` file."""
    if rng.random() < 0.5:
        return _damage_weights(content, rng)
    file = io.BytesIO(content)
    with h5py.File(file, "r+") as archive:
        name = draw_from([*archive.attrs, *["model_config"] * 4], rng)
        if name == "model_config":
            what, text = _damage_description(archive.attrs[name].encode(), rng)
            del archive.attrs[name]
            # An attribute of an HDF5 file has no more than 64 KiB.
            archive.attrs[name] = np.void(text[:60_000]) if b"\0" in text else text[:60_000]
        else:
            value = draw_from((None, 7, "text", np.zeros(3), b"\xff"), rng)
            what = f"{value!r:.12}"
            del archive.attrs[name]
            if value is not None:
                archive.attrs[name] = value
    return f"attribute {name}: {what}", file.getvalue()


def _damage_description(content, rng):
    if rng.random() < 0.6:
        return damage_document(content, rng)
    named = [at for at in places(json.loads(content)) if at[-1] in {"class_name", "module", "name"}]
    place, value = draw_from(named, rng), draw_from(NAMES, rng)
    return f"{place}: {value[:12]}", edit(content, place, value)


def _damage_weights(content, rng):
    """Remove or replace a group or an array of an HDF5 file."""
    file = io.BytesIO(content)
    with h5py.File(file, "r+") as archive:
        names: list[str] = []
        archive.visit(names.append)
        name = draw_from(names, rng)
        node = archive[name]
        if isinstance(node, h5py.Group) or rng.random() < 0.3:
            what = "gone"
            del archive[name]
        else:
            array = np.asarray(node)
            changes = {
                "flat": array.ravel(),
                "short": array[:-1] if array.ndim else array,
                "nan": array * np.nan,
                "infinite": array + np.inf,
                "huge": np.full(array.shape, 1e38),
                "text": np.full(array.shape, b"x"),
                "transposed": array.T,
                "double": array * 2.0,
                "empty": np.zeros(0),
            }
            what = draw_from(list(changes), rng)
            del archive[name]
            archive[name] = changes[what]
    return f"{name}: {what}", file.getvalue()
