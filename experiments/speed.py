"""Tutorial case T10: the speed of the 8-bit dynamic map, beside brute force and bitsandbytes, in one run, interleaved.

    python -m experiments.speed [log2 of the number of elements] [folder]

Quantizes normal numbers in blocks of 4096. Brute force compares every number with all 256 levels. bitsandbytes is timed
where it is installed; it is no dependency. The limit is XLA's plain cast of as many float32 to uint8. Timings are
reported, never tested.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

import qresearch as qr
from experiments.bench.clock import interleaved

BLOCK, REPEATS = 4096, 7


def contestants(x: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Name -> a function that does the work once and waits for it."""
    device = jnp.asarray(x)
    ours = qr.build(f"dynamic8@{BLOCK}")
    levels = jnp.asarray(ours.element.decode(jnp.arange(256).astype(jnp.uint8)))
    kernel = jax.jit(lambda quantizer, x: quantizer.quantize(x))
    cast = jax.jit(lambda x: x.astype(jnp.uint8))

    @jax.jit
    def brute_force(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        blocks = x.reshape(-1, BLOCK)
        scale = jnp.abs(blocks).max(1, keepdims=True)
        codes = jax.lax.map(lambda y: jnp.argmin(jnp.abs(y[:, None] - levels), -1).astype(jnp.uint8), blocks / scale)
        return codes, scale

    work: dict[str, Callable[[], Any]] = {
        "plain cast (limit)": lambda: cast(device).block_until_ready(),
        "qresearch": lambda: jax.block_until_ready(kernel(ours, device)),
        "brute force": lambda: jax.block_until_ready(brute_force(device)),
    }
    if importlib.util.find_spec("bitsandbytes") and importlib.util.find_spec("torch"):
        import torch
        from bitsandbytes.functional import quantize_blockwise

        tensor = torch.from_numpy(x)
        work["bitsandbytes"] = lambda: quantize_blockwise(tensor, blocksize=BLOCK)
    return work


def measure(size: int) -> pd.DataFrame:
    """Rates in million elements a second over `REPEATS` interleaved rounds, after one that compiles."""
    x = np.random.default_rng(0).normal(size=size).astype(np.float32)
    work = contestants(x)
    rates = {name: size / seconds / 1e6 for name, seconds in interleaved(work, REPEATS).items()}
    ours = float(np.median(rates["qresearch"]))
    rows = [
        {
            "work": name,
            "median (M/s)": float(np.median(rate)),
            "least": float(rate.min()),
            "most": float(rate.max()),
            "qresearch is times": ours / float(np.median(rate)),
        }
        for name, rate in rates.items()
    ]
    return pd.DataFrame(rows).set_index("work")


def main(power: int = 22, folder: str = "results/speed") -> None:
    """Measures, prints, and writes a CSV and a Markdown table."""
    table = measure(2**power)
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    table.to_csv(path / "dynamic8.csv")
    machine = f"2^{power} float32, {os.cpu_count()} cores ({platform.machine()})"
    about = f"{machine}, JAX {jax.__version__}, Python {platform.python_version()}; made by"
    text = f"{table.to_markdown(floatfmt='.2f')}\n\n{about} `python -m experiments.speed {power}`.\n"
    (path / "dynamic8.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main(*[kind(value) for kind, value in zip((int, str), sys.argv[1:])])
