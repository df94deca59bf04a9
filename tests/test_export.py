"""Pruned networks leave PyTorch as any other network does."""

import numpy as np
import pytest
import torch
import torchvision
from onnx.reference import ReferenceEvaluator

import splinelib as sl
from splinelib.models import preresnet


@pytest.mark.parametrize(
    "make",
    [
        lambda: preresnet(depth=20, width=0.5, image_size=32),
        lambda: torchvision.models.squeezenet1_1(weights=None, num_classes=10),
    ],
    ids=["preresnet", "squeezenet"],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_export_and_onnx_give_the_same_outputs(make, tmp_path):
    torch.manual_seed(0)
    data = torch.randn(16, 3, 32, 32)
    small, inputs = sl.prune(make().eval(), 0.4, "l2", data=data, compensate=True), data[:2]
    with torch.no_grad():
        expected = small(inputs)
    program = torch.export.export(small, (inputs,))
    path = tmp_path / "program.pt2"
    torch.export.save(program, path)
    with torch.no_grad():
        found = torch.export.load(path).module()(inputs)
    torch.testing.assert_close(found, expected)
    onnx = tmp_path / "small.onnx"
    torch.onnx.export(program, (inputs,), onnx, dynamo=True, verbose=False)
    session = ReferenceEvaluator(str(onnx))
    found = session.run(None, {session.input_names[0]: inputs.numpy()})[0]
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-3, atol=1e-5)
