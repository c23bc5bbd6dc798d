"""A linear layer with int8 weights and int8 inputs, scaled as they come; beside the layers of torch and of onnxruntime.

torch and onnxruntime give the whole batch one scale and the weights one for each output; ours gives one to each token.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import numpy as np

import qresearch as qr
from experiments.bench.contests.torch_sides import torch
from experiments.bench.machine import cores
from experiments.bench.models.beside import Runs

Shape = tuple[int, int, int]
"""Tokens, inputs, outputs."""

RECIPE = "int8@row | int8@row"
"""Of our side."""


def _numbers(shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """float32: the inputs [tokens, in] and the weight [out, in]."""
    draw = np.random.default_rng(0)
    tokens, width, out = shape
    weight = draw.standard_normal((out, width), np.float32) / np.float32(width**0.5)
    return draw.standard_normal((tokens, width), np.float32), weight


def ours(shape: Shape, integer: bool) -> Callable[[], Any]:
    """Our frozen layer: in floating point, or its products in integers."""
    x, weight = map(jax.numpy.asarray, _numbers(shape))
    frozen = qr.model.quantize(lambda weight, x: x @ weight.T, weight, RECIPE, [x])
    run = frozen.integer() if integer else frozen
    return lambda: jax.block_until_ready(run(x))


def torch_layer(shape: Shape, quantized: bool) -> Callable[[], Any]:
    """`nn.Linear` of torch: float32, or as `quantize_dynamic` makes it with a scale for each output. Raises `ImportError`."""
    package = torch()
    from torch.ao import quantization

    x, weight = map(package.from_numpy, _numbers(shape))
    layer = package.nn.Sequential(package.nn.Linear(shape[1], shape[2], bias=False)).eval()
    layer[0].weight.data = weight
    if quantized:
        chosen = {package.nn.Linear: quantization.per_channel_dynamic_qconfig}
        layer = quantization.quantize_dynamic(layer, chosen, dtype=package.qint8)

    def run() -> Any:
        with package.inference_mode():
            return layer(x).numpy()

    return run


def onnx_layer(shape: Shape) -> Callable[[], Any]:
    """A MatMul of onnxruntime after its `quantize_dynamic` with a scale for each output. Raises `ImportError`."""
    import onnx
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    x, weight = _numbers(shape)
    sizes = {"x": [None, shape[1]], "y": [None, shape[2]]}
    given, made = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, size) for name, size in sizes.items())
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = onnx.helper.make_graph([node], "layer", [given], [made], [onnx.numpy_helper.from_array(weight.T.copy(), "w")])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    with TemporaryDirectory() as folder:
        plain, quantized = (Path(folder) / name for name in ("plain.onnx", "int8.onnx"))
        onnx.save(model, plain)
        quantize_dynamic(plain, quantized, per_channel=True, weight_type=QuantType.QInt8)
        session = onnxruntime.InferenceSession(quantized, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x})[0]


def beside_torch(shape: Shape, integer: bool) -> Runs:
    """Ours beside torch's quantized layer."""
    return {"theirs": torch_layer(shape, True), "ours": ours(shape, integer)}


def beside_onnx(shape: Shape, integer: bool) -> Runs:
    """Ours beside onnxruntime's quantized layer."""
    return {"theirs": onnx_layer(shape), "ours": ours(shape, integer)}


def beside_float(shape: Shape, integer: bool) -> Runs:
    """Ours beside XLA's float32 product."""
    x, weight = map(jax.numpy.asarray, _numbers(shape))
    run = jax.jit(lambda weight, x: x @ weight.T)
    return {"theirs": lambda: jax.block_until_ready(run(weight, x)), "ours": ours(shape, integer)}


def torch_beside_its_float(shape: Shape, _: bool) -> Runs:
    """The quantized layer of torch beside its float one: what there is to gain on this machine."""
    return {"theirs": torch_layer(shape, False), "ours": torch_layer(shape, True)}
