"""Sharded arrays, in a subprocess with eight host devices: no communication if blocks lie inside shards."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

PROGRAM = """
import re
import sys

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import qresearch as qr

COLLECTIVE = re.compile("all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter")


def parts(x, scheme, key):
    q = qr.quantize(x, scheme, key=key)
    return q.codes, q.scales, q.dequantize()


mesh = jax.make_mesh((4, 2), ("a", "b"), axis_types=(AxisType[sys.argv[1]],) * 2)
x = jax.random.normal(jax.random.key(0), (64, 1024))
sharded = jax.device_put(x, NamedSharding(mesh, PartitionSpec("a", "b")))
for scheme in sys.argv[2:]:
    key = jax.random.key(1)
    program = jax.jit(lambda x: parts(x, scheme, key)).lower(sharded).compile()
    alone, got = parts(x, scheme, key), parts(sharded, scheme, key)
    same = all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(got)))
    kept = all(part.sharding.is_equivalent_to(sharded.sharding, 2) for part in (got[0], got[2]))
    moved = sorted(set(COLLECTIVE.findall(program.as_text())))
    print(scheme, same, kept, *moved, sep=";")
"""

INSIDE = ["int4@64", "nf4@64:bf16", "int8-asym@64", "int4@8x8", "e2m1@32~stochastic:e8m0"]
"""Schemes whose blocks lie inside shards of [16, 512]."""

ACROSS = ["nf4@64:int8@256", "int8@row", "int4@333"]
"""Schemes whose blocks do not."""


@pytest.mark.parametrize("axes", ["Auto", "Explicit"])
def test_a_sharded_array(axes):
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "PYTHONPATH": str(ROOT)}
    crossing = ACROSS if axes == "Auto" else ACROSS[:1]  # explicit axes must divide evenly
    command = [sys.executable, "-c", PROGRAM, axes, *INSIDE, *crossing]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = {line.split(";")[0]: line.split(";")[1:] for line in done.stdout.splitlines()}
    assert list(lines) == INSIDE + crossing
    for scheme in INSIDE:
        assert lines[scheme] == ["True", "True"], f"{scheme} on one device and on eight: the same? kept? moved: {lines[scheme]}"
    for scheme in crossing:
        same, _, *moved = lines[scheme]
        assert same == "True", scheme
        assert moved, f"{scheme} crosses shards, and the program moves nothing?"
