"""Exchange with other libraries: names of schemes, files, and tensors.

Each function imports the package it needs when it is called: safetensors, gguf or torch.

from qresearch import interop

interop.HUGGING_FACE["W8A8"].activations                        # 'int8-full@row'; qr.scheme("W8A8") is the one of weights
interop.save_safetensors("w.safetensors", {"w": q}, "nvfp4")    # and load_safetensors
interop.save_gguf("w.gguf", {"w": qr.quantize(x, "q4_0")})      # and load_gguf
interop.load("folder")                                          # of compressed-tensors, GPTQ, AWQ, bitsandbytes
interop.quantize_file("folder", "w4.safetensors", "int4@32")    # tensor by tensor; qr.model.load reads it
interop.to_torch(q)["scale"].dtype                              # the name of a torch dtype; .data holds the bytes
"""

from qresearch.grammar.hugging_face import HUGGING_FACE, Pair
from qresearch.interop.checkpoint import load
from qresearch.interop.gguf_file import load_gguf, save_gguf
from qresearch.interop.parts import StoredPart, stored_parts, to_torch
from qresearch.interop.quantize_file import quantize_file
from qresearch.interop.safetensors_file import load_safetensors, save_safetensors

__all__ = [
    "HUGGING_FACE",
    "Pair",
    "StoredPart",
    "load",
    "load_gguf",
    "load_safetensors",
    "quantize_file",
    "save_gguf",
    "save_safetensors",
    "stored_parts",
    "to_torch",
]
