"""Model files as Keras 2.15 wrote them, made of files that Keras 3 saved.

The weights are those of the Keras 3 file. The description of the layers is rewritten: modules,
arguments, references between layers, and the groups of an archive's weights had other names.
"""

import io
import json
import zipfile

import h5py

VERSION = "2.15.0"


def entries(value):
    """Go through all objects of a description that name a class."""
    if isinstance(value, dict):
        if isinstance(value.get("class_name"), str):
            yield value
        for part in list(value.values()):
            yield from entries(part)
    elif isinstance(value, list):
        for part in value:
            yield from entries(part)


def save_old(model, path, change=lambda entry: None):
    """Save a Keras 3 model in the format of Keras 2.15; `change` may alter each entry."""
    buffer = io.BytesIO()
    archive_path = path.with_name(f"new-{path.stem}.keras")
    model.save(archive_path)
    with zipfile.ZipFile(archive_path) as archive:
        config = json.loads(archive.read("config.json"))
        weights = archive.read("model.weights.h5")
    archive_path.unlink()
    config["compile_config"] = None
    age(config)
    for entry in entries(config):
        change(entry)
    if path.suffix == ".keras":
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("metadata.json", json.dumps({"keras_version": VERSION}))
            archive.writestr("config.json", json.dumps(config))
            archive.writestr("model.weights.h5", age_weights(weights))
        path.write_bytes(buffer.getvalue())
        return path
    model.save(path)
    for entry in entries(config):
        for name in ("module", "registered_name", "build_config", "compile_config"):
            entry.pop(name, None)
    with h5py.File(path, "r+") as archive:
        archive.attrs["keras_version"] = VERSION
        archive.attrs["model_config"] = json.dumps(config)
    return path


def age(config):
    """Rewrite a description, in place, to what Keras 2.15 wrote."""
    for entry in entries(config):
        kind, settings = entry["class_name"], entry.get("config")
        if not isinstance(settings, dict):
            continue
        if isinstance(settings.get("dtype"), dict):
            settings["dtype"] = "float32"
        for name in ("quantization_config", "lora_alpha", "value_range", "data_format"):
            if name != "data_format" or kind.startswith("Random"):
                settings.pop(name, None)
        if kind == "InputLayer":
            settings["batch_input_shape"] = settings.pop("batch_shape")
            settings["ragged"] = False
        if kind in ("DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose"):
            settings["groups"] = 1
        if kind == "SeparableConv2D":
            settings |= {"kernel_initializer": None, "kernel_regularizer": None}
        if kind == "LeakyReLU":
            settings["alpha"] = settings.pop("negative_slope")
        if kind == "BatchNormalization":
            settings["axis"] = [3]
            settings.pop("synchronized", None), settings.pop("renorm", None)
        if kind.startswith("Random"):
            settings["rng_type"] = "stateful"
        if kind == "Functional":
            entry["module"] = "keras.src.engine.functional"
            age_graph(settings)
        if kind == "Sequential":
            entry["module"] = "keras"


def age_graph(settings):
    """Rewrite references between layers: to Keras 2, call 0 of an inner model was its own."""
    kinds = {layer["config"]["name"]: layer["class_name"] for layer in settings["layers"]}

    def old(name, call, output):
        return [name, call + (kinds[name] in ("Functional", "Sequential")), output]

    for layer in settings["layers"]:
        layer["inbound_nodes"] = [
            [
                [*old(*tensor["config"]["keras_history"]), {}]
                for argument in node["args"]
                for tensor in (argument if isinstance(argument, list) else [argument])
                if isinstance(tensor, dict) and "keras_history" in tensor["config"]
            ]
            for node in layer["inbound_nodes"]
        ]
    settings["input_layers"] = [settings["input_layers"]]
    settings["output_layers"] = [old(*settings["output_layers"])]


def age_weights(content):
    """Rename the groups of an archive's weights to what Keras 2.13 to 2.15 called them."""
    stream = io.BytesIO(content)
    with h5py.File(stream, "r+") as archive:

        def rename(group):
            for name in list(group):
                if isinstance(group[name], h5py.Group):
                    rename(group[name])
                    if name == "layers":
                        group.move(name, "_layer_checkpoint_dependencies")

        rename(archive)
    return stream.getvalue()
