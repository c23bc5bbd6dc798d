"""Products in integers: equal to those in floating point within rounding, exact where that is exact, and refused by name."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qresearch as qr
from qresearch.models.integer_form import LARGEST, Kind, NoIntegers, piece

HALF_ULP = 2.0**-24
"""The largest relative error of one operation in float32."""


def numbers(*shape, seed=0):
    return jnp.asarray(np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32))


def product(w, x):
    return jnp.einsum("ti,oi->to", x, w)


W, X = numbers(5, 50), numbers(7, 50)

PAIRS = [
    "int8@row | int8@row",
    "int4@8 | int8@row",  # the last group is shorter
    "int8@row | int8-asym@20",
    "int4-asym@10:bf16 | static(uint8-asym)",
    "uint8-asym | int8-asym@row",
    "int4@2x10 + huffman | int8@flat25",
    "q8_0 | split(int8@row, 1)",
    "int8-unit | split(int8-asym, 1, fixed)",
]


def quantized_inputs(frozen, x):
    """float64 [tokens, in]: what the product sees, computed here by the definition of each mode."""
    inputs, fixed = frozen.plan.rules["params"].inputs, frozen.scales.static.get("params")
    coder = qr.build(inputs.scheme)
    if inputs.mode == "static":
        return np.asarray(coder.round_trip(x, fixed, None), np.float64)
    large = np.zeros(x.shape[-1], bool) if inputs.mode == "dynamic" else np.abs(x).max(0) >= float(inputs.argument)
    if inputs.fixed:
        large = np.abs(X).max(0) >= float(inputs.argument)
    rest = qr.quantize(jnp.where(large[None], 0, x), coder).dequantize()
    return np.where(large, x, rest).astype(np.float64)


@pytest.mark.parametrize("rule", PAIRS)
def test_the_integer_product_is_that_of_the_reconstructed_numbers(rule):
    plan = qr.model.plan(product, W, rule, X)
    state = plan.observe(plan.start(W), X)
    pieces = 50 if "yes, " not in (said := plan.table()["integer product"].item()) else int(said.split()[1])

    @settings(max_examples=20, deadline=None)
    @given(st.integers(0, 2**32 - 1), st.integers(-20, 20), st.integers(-20, 20))
    def check(seed, up, down):
        x = numbers(7, 50, seed=seed + 1) * 2.0**down
        frozen = plan.freeze(dataclasses.replace(state, params=numbers(5, 50, seed=seed) * 2.0**up))
        w = np.asarray(frozen.weights["params"].dequantize(), np.float64)
        seen = quantized_inputs(frozen, x)
        size = np.abs(seen) @ np.abs(w).T
        # 50 products and sums on one side. On the other a conversion, two scales and a sum for each piece; two more for the
        # numbers, which are rounded products with their scales; one for the sum of the halves of a split.
        bound = (50 + 2 * 50 // pieces + 7) * HALF_ULP * size
        for got in (frozen(x), frozen.integer()(x)):
            assert (np.abs(np.asarray(got, np.float64) - seen @ w.T) <= bound).all()

    check()


def test_the_integer_product_is_exact_where_floating_point_is():
    plan = qr.model.plan(product, W, "int8@row:e8m0 | int8@row:e8m0", X)  # 50 * 127 * 127 < 2^24, powers of two as scales
    frozen = plan.freeze(plan.start(W))
    np.testing.assert_array_equal(frozen(X), frozen.integer()(X))


def test_products_are_computed_on_bytes():
    frozen = qr.model.quantize(product, W, "uint8-asym | int8@row", [X])
    text = jax.jit(lambda f, x: f(x)).lower(frozen.integer(), X).as_text()
    assert "(tensor<7x50xi8>, tensor<5x50xi8>) -> tensor<7x5xi32>" in text
    assert "-> tensor<7x5xi32>" not in jax.jit(lambda f, x: f(x)).lower(frozen, X).as_text()


def test_sums_beyond_int32_are_split():
    length = 140_000  # 140,000 * 127 * 127 > 2^31
    w, x = jnp.ones((1, length)), jnp.full((1, length), 3.0)
    frozen = qr.model.quantize(product, w, "int8@row:e8m0 | int8@row", [x])
    assert frozen.plan.table()["integer product"].item() == "yes, 70000 inputs at a time"
    # Two pieces with sums below 2^31: three roundings each, one for their sum, and one for the scale of x, 3 / 127.
    np.testing.assert_allclose(frozen.integer()(x), 3.0 * length, rtol=5 * HALF_ULP)


@given(*[st.builds(Kind, st.integers(0, 300), st.integers(1, 255), st.just(True))] * 2, st.integers(2, 10**6))
def test_a_piece_cannot_overflow_or_cross_a_group(weight, inputs, length):
    try:
        found = piece(weight, inputs, length)
    except NoIntegers:
        return
    assert found * weight.reach * inputs.reach <= LARGEST
    assert all(group % found == 0 for group in (weight.group, inputs.group) if group)


REFUSED = {
    "nf4@25 | int8@row": "weights: the levels are no integers",
    "int8@row | e4m3@row": "inputs: the levels are no integers",
    "int4-offset@25 | int8@row": "weights: a minimum is added",
    "int12@row | int8@row": "weights: the codes are wider than 8 bits",
    "int8@column | int8@row": "weights: there is a scale for every contracted element",
    "int8@row | static(int8@column)": "inputs: there is a scale for every contracted element",
    "int8@row + orthogonal(50) | int8@row": "weights: Rotated changes the numbers after they are decoded",
    "int8@2 | int8@5": "no two contracted elements share the scales",
    "int8@row": "no site is left whose inputs are quantized",
}


@pytest.mark.parametrize("rule", REFUSED)
def test_products_that_are_refused(rule):
    plan = qr.model.plan(product, W, rule, X)
    frozen = plan.freeze(plan.observe(plan.start(W), X))
    with pytest.raises(ValueError, match=REFUSED[rule]) as error:
        frozen.integer()
    if "|" in rule:
        assert "keep it in floating point: integer(keep=['params'])" in str(error.value)


def test_sites_are_kept_by_name():
    w = {"a": numbers(8, 8), "b": numbers(8, 8), "c": numbers(8, 8)}
    apply = lambda w, x: jnp.tanh(jnp.tanh(x @ w["a"]) @ w["b"]) @ w["c"]  # noqa: E731
    x = numbers(2, 8)
    frozen = qr.model.quantize(apply, w, "a = int8@row | int8@row; b = nf4@8 | int8@row; c = int4@8", [x])
    with pytest.raises(ValueError, match=r"'b' \(nf4@8 \| int8@row\) has no integer product: weights: the levels"):
        frozen.integer()
    for pattern in ("d", "c"):  # c has weights alone
        with pytest.raises(ValueError, match=f"keep: no site with quantized inputs matches '{pattern}'"):
            frozen.integer(keep=[pattern])
    with pytest.raises(TypeError, match="keep must be a list of patterns"):
        frozen.integer(keep="b")
    whole = frozen.integer(keep=["b"])
    assert dict(whole.table()["computed"]) == {"a": "integers", "b": "floating point", "c": "floating point"}
    assert dict(whole.table()["integer product"])["c"] == "no: weights alone"
    assert set(frozen.table()["computed"]) == {"floating point"}


WINDOWS = {
    "padded": ("int8@row | int8-asym", 1, {}),
    "groups": ("int8-asym@row | static(int8-asym)", 2, {"window_strides": (2, 1)}),
    "dilated": (
        "uint8-asym@row | uint8-asym",
        1,
        {"lhs_dilation": (2, 1), "rhs_dilation": (1, 2), "padding": ((3, 1), (-1, 2))},
    ),
}


@pytest.mark.parametrize("case", WINDOWS)
def test_convolutions_pad_with_zero(case):
    rule, groups, more = WINDOWS[case]
    params = {"window_strides": (1, 1), "padding": "SAME"} | more

    def apply(w, x):
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, w, dimension_numbers=numbers, feature_group_count=groups, **params)

    w, x = numbers(3, 2, 4 // groups, 6) - 1, numbers(2, 5, 6, 4) + 3  # zero is near the ends of both ranges
    frozen = qr.model.quantize(apply, w, rule, [x])
    size = apply(jnp.abs(w), jnp.abs(x))
    # At most 24 terms: as many products and sums on one side, three operations on the other, and two rounded numbers; the sizes
    # of quantized numbers are at most 2 percent more than those of these numbers.
    bound = 1.02 * (2 * 24 + 3 + 2) * HALF_ULP * size
    assert (jnp.abs(frozen(x) - frozen.integer()(x)) <= bound).all()
    assert jnp.abs(frozen(x) - apply(w, x)).max() < 0.02 * size.max()  # 8-bit numbers


def test_a_scale_for_each_pixel_has_no_integer_convolution():
    apply = lambda w, x: jax.lax.conv(x, w, (1, 1), "SAME")  # noqa: E731
    frozen = qr.model.quantize(apply, numbers(3, 2, 3, 3), "int8@row | int8@row", [numbers(1, 2, 5, 5)])
    with pytest.raises(ValueError, match="a convolution needs one scale for each output of the weight and one for all inputs"):
        frozen.integer()


def test_layers_in_a_scan_experts_and_derivatives():
    w = {"layers": numbers(3, 8, 8), "experts": numbers(2, 8, 4)}

    def apply(w, x):
        h = jax.lax.scan(lambda h, w: (jnp.tanh(h @ w), None), x, w["layers"])[0]
        return jnp.einsum("eti,eio->eto", jnp.stack([h, -h]), w["experts"])

    x, key = numbers(4, 8), jax.random.key(3)
    frozen = qr.model.quantize(apply, w, "int8@row | int8@row~stochastic", [x])
    got, slope = jax.value_and_grad(lambda x: jnp.sum(frozen.integer()(x, key=key)))(x)
    wanted, known = jax.value_and_grad(lambda x: jnp.sum(frozen(x, key=key)))(x)
    # The same random numbers: the same codes, but for those of layers above whose inputs rounding moves across a threshold.
    np.testing.assert_allclose(got, wanted, rtol=1e-5)
    np.testing.assert_allclose(slope, known, atol=1e-5 * np.abs(known).max())
    assert np.abs(known).max() > 0


def test_an_index_into_a_stack_has_no_integer_product():
    apply = lambda w, x: jax.lax.fori_loop(0, 3, lambda i, h: jnp.tanh(h @ w[i]), x)  # noqa: E731
    frozen = qr.model.quantize(apply, numbers(3, 8, 8), "int8@row | int8@row", [numbers(4, 8)])
    with pytest.raises(ValueError, match="an index takes the weight from a stack; run the layers in a scan"):
        frozen.integer()


def test_fixed_columns_of_a_split_are_those_that_were_observed():
    x = X.at[2, 4].set(9.0).at[3, 30].set(-8.0)
    plan = qr.model.plan(product, W, "int8@row | split(int8@row, 6, fixed)", x)
    assert str(plan.recipe) == "int8@row | split(int8@row, 6, fixed)"
    with pytest.raises(ValueError, match="has a split with fixed columns and has seen no tokens"):
        plan.freeze(plan.start(W))
    frozen = plan.freeze(plan.observe(plan.start(W), x))
    np.testing.assert_array_equal(np.flatnonzero(frozen.scales.static["params"]), [4, 30])
    # What comes with a row does not change what it gives: the large number in column 7 is only in the other row.
    rows = X[:2].at[1, 7].set(50.0)
    np.testing.assert_array_equal(frozen(rows)[0], frozen(rows.at[1, 7].set(0.0))[0])
    free = qr.model.quantize(product, W, "int8@row | split(int8@row, 6)", [x])
    assert (free(rows)[0] != free(rows.at[1, 7].set(0.0))[0]).any()
