"""`keep_compiled`: a later process loads what an earlier one compiled."""

import os
import subprocess
import sys

CODE = """
import numpy as np, jax, qresearch as qr
from jax import monitoring
seen = []
monitoring.register_event_listener(lambda event, **_: seen.append(event.rsplit("/", 1)[-1]))
print(qr.keep_compiled())
qr.quantize(np.ones(64, np.float32), "int4@32").dequantize()
print(seen.count("cache_misses"), seen.count("cache_hits"))
"""


def test_a_second_process_compiles_nothing(tmp_path):
    names = {"XDG_CACHE_HOME": str(tmp_path), "JAX_PLATFORMS": "cpu"}
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"} | names
    first, second = (
        subprocess.run([sys.executable, "-c", CODE], env=environment, check=True, capture_output=True, text=True).stdout.split()
        for _ in range(2)
    )
    assert first[0] == second[0] == str(tmp_path / "qresearch" / "compiled")
    compiled = int(first[1])
    assert compiled > 0
    assert first[2] == "0"
    assert second[1:] == ["0", str(compiled)]
