"""To and from other libraries: names of schemes, files, and tensors. What each needs is imported when it is called.

from qresearch import interop

interop.HUGGING_FACE["W8A8"].activations                        # 'int8-full@row'; qr.scheme("W8A8") is that of the weights
interop.save_safetensors("w.safetensors", {"w": q}, "nvfp4")    # and load_safetensors
interop.save_gguf("w.gguf", {"w": qr.quantize(x, "q4_0")})      # and load_gguf
interop.to_torch(q)["scale"].dtype                              # bytes, and the name of a torch dtype
"""

from qresearch.grammar.hugging_face import HUGGING_FACE, Pair
from qresearch.interop.gguf_file import load_gguf, save_gguf
from qresearch.interop.parts import StoredPart, stored_parts
from qresearch.interop.safetensors_file import load_safetensors, save_safetensors
from qresearch.interop.torch_bytes import to_torch

__all__ = [
    "HUGGING_FACE",
    "Pair",
    "StoredPart",
    "load_gguf",
    "load_safetensors",
    "save_gguf",
    "save_safetensors",
    "stored_parts",
    "to_torch",
]
