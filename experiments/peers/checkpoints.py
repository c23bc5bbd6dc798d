"""Weights that other libraries pack and unpack, read by `interop.load`: the same numbers, and the scheme that is recognised.

Each library packs a small random weight with its own code. The packed tensors are written to a file, as the library writes
them, and read by us. Numbers are compared in the dtype in which the library unpacks them.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from experiments.peers.row import comparison
from qresearch import interop

OUT, IN = 64, 256


def compare() -> list[dict[str, Any]]:
    """A row for each layout."""
    return [*_compressed(), *_gptq(), *_awq(), *_bitsandbytes()]


def _read(peer: str, what: str, tensors: dict[str, Any], theirs: Any, config: dict[str, Any] | None = None) -> dict[str, Any]:
    """The row of a weight: its tensors, by the end of their names, and what the library unpacks."""
    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory() as folder:
        save_file({f"layer.{name}": each.contiguous() for name, each in tensors.items()}, f"{folder}/model.safetensors")
        if config is not None:
            (Path(folder) / "config.json").write_text(json.dumps({"quantization_config": config}), encoding="utf-8")
        q = interop.load(folder)["layer.weight"]
    ours = np.asarray(q.dequantize())
    import torch

    rounded = torch.from_numpy(ours.copy()).to(theirs.dtype).float().numpy()
    scheme = str(q.scheme)
    return comparison(
        scheme if len(scheme) < 60 else f"{scheme[:40]}...", peer, what, rounded, theirs.float().numpy(), bits=False
    )


def _weight(out: int = OUT) -> Any:
    import torch

    return torch.from_numpy(np.random.default_rng(0).standard_normal((out, IN)).astype(np.float32))


def _compressed() -> Iterator[dict[str, Any]]:
    import torch
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from compressed_tensors.quantization.utils import calculate_qparams

    cases: list[tuple[str, dict[str, Any], Any]] = [
        ("pack-quantized", {"num_bits": bits, "strategy": strategy, "group_size": size, "symmetric": symmetric}, dtype)
        for bits in (2, 3, 4, 5, 8)
        for strategy, size in (("group", 128), ("channel", None))
        for symmetric in (True, False)
        for dtype in (torch.bfloat16,)
    ]
    cases += [
        ("pack-quantized", {"num_bits": 4, "strategy": "group", "group_size": 32}, dtype)
        for dtype in (torch.float16, torch.float32)
    ]
    eight = {"num_bits": 8, "symmetric": True}
    cases += [("int-quantized", {**eight, "strategy": "channel"}, torch.bfloat16)]
    cases += [
        ("float-quantized", {**eight, "type": "float", "strategy": strategy}, torch.bfloat16)
        for strategy in ("channel", "tensor")
    ]
    for layout, options, dtype in cases:
        arguments = QuantizationArgs(**options)
        scheme, weight = QuantizationScheme(targets=["Linear"], weights=arguments), _weight().to(dtype)
        blocks = options.get("group_size") or IN
        split = weight.reshape(OUT, IN // blocks, blocks)
        low, high = split.amin(-1), split.amax(-1)
        if options["strategy"] == "tensor":
            low, high = low.min().reshape(1), high.max().reshape(1)
        scale, zero = calculate_qparams(low, high, arguments)
        compressor = BaseCompressor.get_value_from_registry(layout)
        state = {"weight": weight, "weight_scale": scale.to(dtype), "weight_zero_point": zero}
        packed = compressor.compress(state, scheme)
        theirs = compressor.decompress(packed, scheme)["weight"]
        if options.get("symmetric", True):
            packed.pop("weight_zero_point", None)
        config = {"config_groups": {"group_0": {"weights": arguments.model_dump(mode="json")}}}
        words = ", ".join(f"{name} {each}" for name, each in options.items() if each is not None)
        yield _read("compressed-tensors", f"{layout}: {words}", packed, theirs, config)


def _gptq() -> Iterator[dict[str, Any]]:
    import torch

    linear = _module("auto_gptq/nn_modules/qlinear/qlinear_cuda_old.py").QuantLinear
    for bits in (2, 4, 8):
        for size in (128, -1):
            layer = torch.nn.Linear(IN, OUT, bias=False).half()
            layer.weight.data = _weight().half()
            scale, zero = _range(_weight(), bits, size)
            packed = linear(bits, size, IN, OUT, bias=False)
            packed.pack(layer, scale.half(), zero, None)
            theirs = packed(torch.eye(IN, dtype=torch.float16)).T
            tensors = {name: getattr(packed, name) for name in ("qweight", "qzeros", "scales", "g_idx")}
            config = {"quant_method": "gptq", "bits": bits, "group_size": size}
            yield _read("auto-gptq", f"{bits} bits, group_size {size}", tensors, theirs, config)


def _awq() -> Iterator[dict[str, Any]]:
    import torch

    sys.modules.setdefault("awq", type(sys)("awq"))  # its own __init__ imports models of an older transformers
    for name in ("utils", "utils.module", "utils.utils", "utils.packing_utils"):
        _module(f"awq/{name.replace('.', '/')}{'/__init__' if name == 'utils' else ''}.py", f"awq.{name}")
    linear = _module("awq/modules/linear/gemm.py").WQLinear_GEMM
    dequantize = sys.modules["awq.utils.packing_utils"].dequantize_gemm
    for size in (32, 128):
        layer = torch.nn.Linear(IN, OUT, bias=False).half()
        layer.weight.data = _weight().half()
        scale, zero = _range(_weight(), 4, size)
        packed = linear.from_linear(layer, 4, size, scales=scale.T.half().contiguous(), zeros=zero.T.contiguous())
        theirs = dequantize(packed.qweight, packed.qzeros, packed.scales, 4, size).T
        tensors = {name: getattr(packed, name) for name in ("qweight", "qzeros", "scales")}
        yield _read("autoawq", f"4 bits, groups of {size}", tensors, theirs, {"quant_method": "awq", "bits": 4})


def _range(weight: Any, bits: int, size: int) -> tuple[Any, Any]:
    """Scales and zero points [out, groups] by the range of each group, zero included."""
    import torch

    split = weight.reshape(OUT, -1, IN if size == -1 else size)
    low, high = split.amin(-1).clamp(max=0), split.amax(-1).clamp(min=0)
    scale = ((high - low) / (2**bits - 1)).half().float()
    return scale, torch.round(-low / scale).clamp(1, 2**bits - 1)


def _module(path: str, name: str | None = None) -> Any:
    """A module of a package whose other modules need packages that are not installed."""
    folder = next(Path(each) for each in sys.path if (Path(each) / path).is_file())
    spec = importlib.util.spec_from_file_location(name or f"peer_{Path(path).stem}", folder / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _bitsandbytes() -> Iterator[dict[str, Any]]:
    import bitsandbytes.functional as bnb

    for kind in ("nf4", "fp4"):
        for nested in (False, True):
            for size in (64, 128):
                packed, state = bnb.quantize_4bit(_weight(63), blocksize=size, compress_statistics=nested, quant_type=kind)
                tensors = {"weight": packed, **{f"weight.{name}": each for name, each in state.as_dict(packed=True).items()}}
                words = f"{kind}, blocks of {size}{', double quantization' if nested else ''}"
                yield _read("bitsandbytes", words, tensors, bnb.dequantize_4bit(packed, state))


if __name__ == "__main__":
    import pandas as pd

    print(pd.DataFrame(compare()).to_string(index=False))
