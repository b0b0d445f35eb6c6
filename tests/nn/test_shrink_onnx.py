"""Shrunk models go to ONNX, and compute there what they compute here."""

import io

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
from nn.networks import network  # noqa: E402

from sketches.nn import shrink  # noqa: E402


# PyTorch's exporter copies a tree of arguments, and PyTorch deprecates how the copy asks for its type.
@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.. is deprecated:FutureWarning")
@pytest.mark.parametrize("name", ["LeNet-5", "ResNet", "separable", "attention"])
def test_export(name):
    model, inputs = network(name)
    shrunk = shrink(model, inputs, share=0.4)
    file = io.BytesIO()
    torch.onnx.export(shrunk.module, (inputs,), dynamo=True, verbose=False).save(file)
    session = onnxruntime.InferenceSession(file.getvalue())
    (result,) = session.run(None, {session.get_inputs()[0].name: inputs.numpy()})
    with torch.no_grad():
        expected = shrunk.module(inputs).numpy()
    assert np.abs(result - expected).max() <= 1e-4 * np.abs(expected).max()
