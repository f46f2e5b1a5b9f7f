"""The example's DNN."""

from examples.gaze_dnn import build_dnn


def test_dnn_is_plain_and_named():
    dnn = build_dnn((64, 48))
    assert dnn.input_shape == (None, 48, 64, 3)
    assert dnn.output_shape == (None, 8)
    kinds = {type(layer).__name__ for layer in dnn.layers}
    assert kinds == {"Rescaling", "Conv2D", "MaxPooling2D", "Flatten", "Dense"}
