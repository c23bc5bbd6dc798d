"""Checkpoints of other libraries, packed here bit by bit as their documents say. `make peers` packs them with the libraries."""

import json

import ml_dtypes
import numpy as np
import pytest
from safetensors import TensorSpec, serialize_file

import qresearch as qr
from qresearch import interop

RANDOM = np.random.default_rng(0)
OUT, IN, GROUP = 32, 64, 32
SCALES = RANDOM.uniform(0.5, 2, (OUT, IN // GROUP)).astype(np.float16)
ZEROS = RANDOM.integers(1, 15, (OUT, IN // GROUP))


def words(codes, bits):
    """int32 [..., words]: the codes of each row as one number in base 2^bits, the first in the lowest place."""
    rows = codes.reshape(-1, codes.shape[-1])
    count = -(-codes.shape[-1] * bits // 32)
    numbers = [sum(int(code) << (bits * place) for place, code in enumerate(row)) for row in rows]
    data = b"".join(number.to_bytes(4 * count, "little") for number in numbers)
    return np.frombuffer(data, "<i4").reshape(*codes.shape[:-1], count)


def checkpoint(folder, tensors, config=None):
    """A checkpoint of one weight, `a.weight`, and of a tensor that is not quantized."""
    tensors = {
        **{f"a.{name}": np.ascontiguousarray(each) for name, each in tensors.items()},
        "norm.weight": np.ones(3, np.float32),
    }
    specs = {
        name: TensorSpec(dtype=str(each.dtype), shape=each.shape, data_ptr=each.ctypes.data, data_len=each.nbytes)
        for name, each in tensors.items()
    }
    serialize_file(specs, str(folder / "model.safetensors"))
    if config is not None:
        (folder / "config.json").write_text(json.dumps({"quantization_config": config}))
    return folder


def packed(bits, symmetric):
    """Tensors of compressed-tensors, and the numbers that they stand for."""
    codes = RANDOM.integers(0, 2**bits, (OUT, IN))
    tensors = {"weight_packed": words(codes, bits), "weight_shape": np.array([OUT, IN]), "weight_scale": SCALES}
    zeros = np.full_like(ZEROS, 2 ** (bits - 1)) if symmetric else ZEROS % 2**bits
    if not symmetric:
        tensors["weight_zero_point"] = words(zeros.T, bits).T
    return tensors, (codes - zeros.repeat(GROUP, 1)) * SCALES.repeat(GROUP, 1).astype(np.float32)


def gptq(bits, less=1):
    codes, zeros = RANDOM.integers(0, 2**bits, (OUT, IN)), ZEROS % 2**bits
    stored = (zeros - less) % 2**bits
    tensors = {
        "qweight": words(codes, bits).T,
        "qzeros": words(stored.T, bits),
        "scales": SCALES.T,
        "g_idx": np.arange(IN) // GROUP,
    }
    return tensors, (codes - zeros.repeat(GROUP, 1)) * SCALES.repeat(GROUP, 1).astype(np.float32)


def awq():
    codes = RANDOM.integers(0, 16, (OUT, IN))

    def columns(numbers):  # [in, out], eight to a word in the order 0 2 4 6 1 3 5 7
        return words(numbers.T.reshape(-1, OUT // 8, 8)[..., [0, 2, 4, 6, 1, 3, 5, 7]], 4)[..., 0]

    tensors = {"qweight": columns(codes), "qzeros": columns(ZEROS), "scales": SCALES.T}
    return tensors, (codes - ZEROS.repeat(GROUP, 1)) * SCALES.repeat(GROUP, 1).astype(np.float32)


def eight_bits():
    codes = RANDOM.integers(0, 120, (OUT, IN)).astype(np.uint8).view(ml_dtypes.float8_e4m3fn)
    scale = SCALES[:, :1].astype(ml_dtypes.bfloat16)
    return {"weight": codes, "weight_scale": scale}, codes.astype(np.float32) * scale.astype(np.float32)


def tiles():
    codes = RANDOM.integers(0, 120, (OUT, IN)).astype(np.uint8).view(ml_dtypes.float8_e4m3fn)
    scale = RANDOM.uniform(0.5, 2, (2, 2)).astype(np.float32)
    return {"weight": codes, "weight_scale": scale}, codes.astype(np.float32) * scale.repeat(16, 0).repeat(32, 1)


def mxfp4():
    codes = RANDOM.integers(0, 16, (OUT, IN)).astype(np.uint8)
    exponents = RANDOM.integers(120, 130, (OUT, IN // 32)).astype(np.uint8)
    scale = np.ldexp(np.float32(1), exponents.astype(np.int32) - 127).repeat(32, 1)
    tensors = {"weight_packed": codes[:, ::2] | codes[:, 1::2] << 4, "weight_scale": exponents}
    return tensors, codes.view(ml_dtypes.float4_e2m1fn).astype(np.float32) * scale


def nf4():
    table, codes = qr.levels("nf4").astype(np.float32), RANDOM.integers(0, 16, (5, 64)).astype(np.uint8)
    absmax = RANDOM.uniform(0.5, 2, 5).astype(np.float32)
    about = {"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [10, 32]}
    flat = codes.reshape(-1)
    tensors = {
        "weight": (flat[::2] << 4 | flat[1::2]).reshape(-1, 1),
        "weight.absmax": absmax,
        "weight.quant_map": table,
        "weight.quant_state.bitsandbytes__nf4": np.frombuffer(json.dumps(about).encode(), np.uint8),
    }
    return tensors, (table[codes] * absmax[:, None]).reshape(10, 32)


CASES = {
    "int4-full@32:f16": (packed(4, True), None),
    "int3-full@32:f16": (packed(3, True), None),
    "int4-asym@32:f16": (packed(4, False), {"config_groups": {"group_0": {"weights": {"num_bits": 4}}}}),
    "uint4-asym@32:f16": (gptq(4), {"bits": 4}),
    "uint3-asym@32:f16": (gptq(3), {"bits": 3}),
    "uint8-asym@32:f16": (gptq(8, less=0), {"checkpoint_format": "gptq_v2"}),
    "uint4-asym@32:f16 of AWQ": (awq(), {"quant_method": "awq"}),
    "e4m3@row:bf16": (eight_bits(), None),
    "e4m3@16x32": (tiles(), {"config_groups": {"g": {"weights": {"num_bits": 8, "block_structure": [16, 32]}}}}),
    "e2m1@32:e8m0": (mxfp4(), None),
    "nf4@flat64": (nf4(), None),
}


@pytest.mark.parametrize("name", CASES)
def test_the_scheme_is_recognised_and_the_numbers_are_the_same(tmp_path, name):
    (tensors, wanted), config = CASES[name]
    (found,) = interop.load(checkpoint(tmp_path, tensors, config)).items()
    assert (found[0], found[1].scheme) == ("a.weight", name.removesuffix(" of AWQ"))
    np.testing.assert_array_equal(found[1].dequantize(), wanted)
    assert interop.load(tmp_path / "model.safetensors", "a.weight")["a.weight"].bits == found[1].bits


LEFT_OUT = {
    "columns in groups that are not neighbours": gptq(4)[0] | {"g_idx": (np.arange(IN) * 7) % 2},
    "NVFP4": mxfp4()[0] | {"weight_global_scale": np.ones(1, np.float32)},
    "LLM.int8": {"weight": np.ones((OUT, IN), np.int8), "SCB": np.ones(OUT, np.float32)},
    "its scales have the shape": packed(4, True)[0] | {"weight_scale": SCALES[:5]},
    "64 columns in 3 groups": packed(4, True)[0] | {"weight_scale": SCALES[:, [0, 1, 1]]},
    "words for 64 codes": packed(4, True)[0] | {"weight_packed": np.zeros((OUT, 3), np.int32)},
    "quant_map is not that of nf4": nf4()[0] | {"weight.quant_map": np.linspace(-1, 1, 16, dtype=np.float32)},
    "its codes are float32": {"weight": np.ones((OUT, IN), np.float32), "weight_scale": SCALES},
}


@pytest.mark.parametrize("reason", LEFT_OUT)
def test_a_weight_that_no_scheme_has_is_left_out_or_refused(tmp_path, reason):
    checkpoint(tmp_path, LEFT_OUT[reason])
    with pytest.warns(UserWarning, match=f"1 of 1 weights are left out: 'a.weight' .*{reason}"):
        assert interop.load(tmp_path) == {}
    with pytest.raises(ValueError, match=f"'a.weight' cannot be read: .*{reason}"):
        interop.load(tmp_path, ["a.weight"])


def test_what_is_not_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds no \.safetensors file"):
        interop.load(tmp_path)
    checkpoint(tmp_path, {"bias": np.ones(3, np.float32)})
    with pytest.raises(ValueError, match="has no weights in the layouts of compressed-tensors, GPTQ and AWQ, bitsandbytes"):
        interop.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is not JSON"):
        interop.load(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    (tmp_path / "config.json").unlink()
    with pytest.raises(ValueError, match=r"model\.safetensors cannot be read"):
        interop.load(tmp_path)


def test_a_name_that_is_absent_is_answered(tmp_path):
    checkpoint(tmp_path, CASES["nf4@flat64"][0][0])
    with pytest.raises(ValueError, match=r"has no quantized weight 'b\.weight'; did you mean 'a\.weight'"):
        interop.load(tmp_path, "b.weight")
