"""The uniform grid: conversion of integers, held as float32, to codes; saturation at the ends."""

import jax
import numpy as np
import pytest

from qresearch.element.integers import to_integers, uniform
from qresearch.element.rounding import ROUNDINGS


@pytest.mark.parametrize(("bits", "signed"), [(8, True), (8, False), (16, True), (16, False)])
def test_every_integer_of_a_width_becomes_itself(bits, signed):
    codes = uniform(bits, signed).codes()
    q = codes.astype(np.float32)
    for convert in (to_integers, jax.jit(to_integers, static_argnums=1)):
        found = convert(q, str(codes.dtype))
        assert found.dtype == codes.dtype
        np.testing.assert_array_equal(found, codes)


def test_minus_zero_is_zero():
    assert int(to_integers(np.float32(-0.0), "int8")) == 0


def test_codes_saturate_at_the_ends():
    grid = uniform(4, restricted=True)
    y = np.array([np.inf, -np.inf, np.nan, 3e38, -3e38, 7.5, -7.5, 6.5, -0.4], np.float32)
    np.testing.assert_array_equal(grid.encode(y, ROUNDINGS["even"]), [7, -7, 0, 7, -7, 7, -7, 6, 0])
