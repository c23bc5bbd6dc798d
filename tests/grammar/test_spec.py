"""The grammar: reading and printing schemes, and error messages for typos."""

import itertools
import pickle
import re

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st

import qresearch as qr
from qresearch.base.table import Table
from qresearch.grammar import spec
from qresearch.grammar.hugging_face import HUGGING_FACE
from qresearch.grammar.other_names import OTHER_NAMES
from qresearch.grammar.spec import Spec, scheme

MUST_PARSE = [
    "int4@32",
    "int8-asym",
    "int8@row",
    "int4@8x8~stochastic",
    "nf4@64:bf16",
    "dynamic8@256",
    "e2m1@32:e8m0",
    "nf4@64:int8@256",
]


@pytest.mark.parametrize("text", [*MUST_PARSE, *(row.value for row in qr.presets.rows)])
def test_a_canonical_text_prints_itself(text):
    assert str(scheme(text)) == text
    assert scheme(scheme(text)) == scheme(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("int4-sym-absmax-restricted@32~even:f32", "int4@32"),
        ("int8-asym-minmax-full", "int8-asym"),
        ("float16", "f16"),
        ("nf4@64:bfloat16", "nf4@64:bf16"),
        ("int4-offset(bf16)@32:bf16", "int4-offset@32:bf16"),
        ("int4-offset(f32)@32:bf16", "int4-offset(f32)@32:bf16"),
        ("int4-offset(int6@8)@32:f16", "int4-offset(int6@8)@32:f16"),
        ("e8m0~toward_zero", "e8m0"),
        ("int1-full@32", "int1@32"),
        ("codebook( -1, 0, 1 )@tensor", "codebook(-1,0,1)"),
        ("int8@*", "int8@row"),
        ("int8@*x1", "int8@column"),
        ("nf4@64:int8@256:bf16", "nf4@64:int8@256:bf16"),
        ("mxfp4", "e2m1@32:e8m0"),
        (" int4@32 ", "int4@32"),
        ("int04@032", "int4@32"),
        ("e04m3", "e4m3"),
        ("int4-rms(3.0)", "int4-rms(3)"),
        ("int4-rms(1048576.0)", "int4-rms(1048576)"),
        ("int4-quantile(0.9990)@8", "int4-quantile(0.999)@8"),
        ("codebook(-1.,-0.50,1e0)", "codebook(-1,-0.5,1)"),
        ("codebook(-1,0.33333333333333331,1)", "codebook(-1,0.3333333333333333,1)"),
        ("nf4()", "nf4"),
    ],
)
def test_equivalent_texts_have_one_canonical_form(text, canonical):
    assert str(scheme(text)) == canonical
    assert scheme(text) == scheme(canonical)
    assert hash(scheme(text)) == hash(scheme(canonical))


def test_a_spec_from_python_equals_one_from_text():
    assert Spec("int4", block=32, scale="bf16") == scheme("int4@32:bf16")
    assert Spec("int4", block=(8, 8), rounding="stochastic") == scheme("int4@8x8~stochastic")
    assert Spec("int4", block=(1, None)) != scheme("int4@row")  # another block, though the same on two axes
    assert scheme("int4@32").replace(block=64) == scheme("int4@64")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("imt4@32", ["unknown element 'imt4'", "did you mean 'int4'"]),
        ("int4-asim", ["unknown word '-asim'", "did you mean 'asym'"]),
        ("int4@32~evn", ["unknown rounding 'evn'", "did you mean 'even'"]),
        ("int4@3z2", ["block '3z2' is not one of"]),
        ("int4@0", ["positive integer", "not 0"]),
        ("int4@-1", ["positive integer", "not -1"]),
        ("int4@32:bf61", ["bf61", "did you mean 'bf16'"]),
        ("int4@", ["nothing follows '@'"]),
        ("int4@32 oops", ["cannot read ' oops'"]),
        ("", ["begins with an element"]),
        ("int4-asym-offset", ["two words for the form"]),
        ("nf4-quantile(0.9", ["never closed"]),
        ("f32", ["f32 only stores scales, as in 'int4@32:f32'"]),
        ("float32", ["float32 only stores scales"]),
        ("int4@rows", ["block 'rows'", "did you mean 'row'"]),
        ("int4@tensors", ["did you mean 'tensor'"]),
        ("int4@32-asym", ["words come before the '@': '-asym@32'"]),
        ("int٤", ["unknown element"]),
        ("int4@٣٢", ["block '٣٢' is not one of"]),
    ],
)
def test_a_typo_is_named_with_a_suggestion(text, words):
    with pytest.raises(ValueError) as error:  # noqa: PT011  the message is what is tested
        scheme(text)
    assert repr(text) in str(error.value)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("int0", ["1 to 16", "not 0"]),
        ("int17@32", ["1 to 16", "not 17"]),
        ("int1-restricted", ["leave it out"]),
        ("uint4-full", ["signed integers"]),
        ("nf4-full", ["signed integers"]),
        ("nf4-asym", ["needs an integer element"]),
        ("int4-asym-absmax", ["needs a statistic with an interval", "minmax"]),
        ("int4-minmax", ["needs a statistic with a width", "absmax"]),
        ("int4-rms", ["rms(3)"]),
        ("int4-rms(-1)", ["k, the width in units of the RMS, must be at least 2^-126"]),
        ("int4-quantile(0.2)", ["above 0.5"]),
        ("bf16@32", ["no scale", "bf16-absmax@32"]),
        ("int4-unit:bf16", ["no scale"]),
        ("int4-exact@32", ["-exact"]),
        ("int4-signmax@32:e8m0", ["negative scales"]),
        ("int4-offset:e8m0", ["negative minima", "'e8m0'", "int4-offset(bf16)"]),
        ("int4-offset(uint8)@32", ["negative minima", "'uint8'"]),
        ("int4-rms(1e-50)", ["at least 2^-126"]),
        ("dynamic17", ["2 to 16", "not 17"]),
        ("dynamic8e8", ["1 to 7"]),
        ("codebook(1)", ["2 to 65,536"]),
        ("codebook(0,0)", ["ascend"]),
        ("codebook(a,b)", ["must be numbers"]),
        ("e9m3", ["1 to 8"]),
        ("int4(3)", ["cannot be built: multiple values for argument 'bits'; write it as 'int2'"]),
        ("nf4(3)", ["'nf4(3)' cannot be built: too many positional arguments; write it as 'nf4'"]),
    ],
)
def test_what_does_not_fit_together_is_refused(text, words):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        qr.build(text)
    for word in words:
        assert word in str(error.value), str(error.value)


@given(st.text(max_size=20))
def test_any_text_is_a_scheme_or_a_value_error(text):
    try:
        spec = scheme(text)
    except ValueError:
        return
    assert scheme(str(spec)) == spec


def test_deep_nesting_is_refused():
    with pytest.raises(ValueError, match="501 nested schemes and brackets; at most 32"):
        scheme("int4@32:" + "int8@2:" * 500 + "bf16")
    with pytest.raises(ValueError, match="at most 32"):
        scheme("(" * 5000)


@pytest.mark.parametrize("text", ["x" * 100_000, "int4@" + "9x" * 50_000, "int4-" + "y" * 100_000, "int4@32 " + "z" * 100_000])
def test_a_long_text_is_not_echoed_whole(text):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        scheme(text)
    assert len(str(error.value)) < 1200


def test_an_array_is_not_echoed_whole():
    with pytest.raises(TypeError) as error:
        qr.quantize("int4@32", jax.numpy.ones((64, 64)))
    assert len(str(error.value)) < 200


def test_replacing_a_field_updates_the_defaults_that_depend_on_it():
    int4 = scheme("int4@32")
    assert int4.replace(element="nf4") == scheme("nf4@32")
    assert int4.replace(form="asym") == scheme("int4-asym@32")
    assert scheme("bf16").replace(element="e8m0") == scheme("e8m0")  # the default rounding differs
    assert scheme("int4-full-rms(3)@32~half_up").replace(form="sym", block=8) == scheme("int4-full-rms(3)@8~half_up")
    assert scheme("int4-offset@32:f16").replace(scale="bf16") == scheme("int4-offset@32:bf16")
    assert scheme("int4-offset@32:f16").replace(form="sym") == scheme("int4@32:f16")
    own = scheme("int4-offset(f32)@32:bf16")
    assert own.replace(block=64) == scheme("int4-offset(f32)@64:bf16")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"element": None}, "element must be a text"),
        ({"form": None}, "form must be a text"),
        ({"rounding": 5}, "rounding must be a text"),
        ({"exact": "no", "scale": "bf16"}, "exact must be True or False, not str: 'no'"),
        ({"wrappers": "hadamard(64)"}, "wrappers must be a tuple"),
    ],
)
def test_fields_of_other_types_are_refused(fields, words):
    with pytest.raises(TypeError, match=words):
        Spec(**({"element": "int4"} | fields))


@pytest.mark.parametrize("example", [row.examples[0] for row in qr.wrappers.rows if not row.name.startswith("ggml")])
def test_every_wrapper_can_be_pickled(example):
    element = "vq4x2" if example.startswith("kmeans") else "int4"
    q = qr.quantize(jax.numpy.arange(64.0).reshape(4, 16), f"{element}@16 + {example}")
    assert jax.numpy.array_equal(pickle.loads(pickle.dumps(q)).dequantize(), q.dequantize())


def test_built_schemes_are_pickled():
    q = pickle.loads(pickle.dumps(qr.quantize(jax.numpy.arange(8.0), "int4@4~half_up:int8")))
    assert q.dequantize().tolist() == qr.quantize(jax.numpy.arange(8.0), "int4@4~half_up:int8").dequantize().tolist()


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="a scheme is a text such as 'int4@32' or a Spec, not int: 4"):
        scheme(4)


def test_presets_that_skip_the_check_would_pass_it(monkeypatch):
    rows = qr.presets.rows
    monkeypatch.setattr(spec, "PRESETS", Table("preset", check=spec._check_preset, of=str, spelling=r"[A-Za-z_][\w.-]*"))
    for row in rows:
        spec.PRESETS.add(row.name, row.value, doc=row.doc)
    assert spec.PRESETS.rows == rows


@pytest.mark.parametrize("text", ["(int4)@32", "(int4@32):bf16", "(((int4))@2)", "int4@32:(bf16)x", "(int4@32)(x)"])
def test_brackets_enclose_whole_schemes(text):
    with pytest.raises(ValueError, match="brackets enclose a whole scheme"):
        qr.scheme(text)


def test_the_number_of_wrappers_is_bounded():
    assert len(qr.scheme("int4@32" + " + mean" * 32).wrappers) == 32
    with pytest.raises(ValueError, match="140000 wrappers; at most 32 are allowed"):
        qr.scheme("int4@32" + " + mean" * 140_000)


SMALL = [row.name for row in qr.elements.rows if "{" in row.name]


@pytest.mark.parametrize("pattern", SMALL)
def test_every_width_of_every_element_is_built_or_refused(pattern):
    holes = re.findall(r"{\w+}", pattern)
    for numbers in itertools.product(range((12, 5, 3)[len(holes) - 1]), repeat=len(holes)):
        name = pattern
        for hole, number in zip(holes, numbers, strict=True):
            name = name.replace(hole, str(number))
        try:
            qr.build(name)
        except ValueError as error:
            assert "division by zero" not in str(error)  # noqa: PT017  other errors end the test


QUOTED = re.compile(r"'([^' ]+(?: \+ [^' ]+)*)'")


@pytest.mark.parametrize("row", OTHER_NAMES.rows, ids=lambda row: row.name)
def test_a_name_of_other_libraries_is_answered_with_schemes_that_build(row):
    name = re.sub(r"\{\w+\}", "4", row.name)
    with pytest.raises(ValueError) as error:  # noqa: PT011  the message is what is tested
        scheme(name)
    assert row.value in str(error.value)
    named = [text for text in QUOTED.findall(row.value) if text[0] not in "~-:"]
    assert named
    for text in named:
        qr.build(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fp8", "'e4m3' and 'e5m2'"),
        ("FP4@32", "'e2m1'"),
        ("torch.float8_e4m3fnuz@32", "is 'e4m3fnuz'"),
        ("Q4_K_M", "K-quants are 'q2_k'"),
        ("int4@32 + gptq", "not here"),
        ("int4@32:fp8", "'e4m3'"),
        ("NF4@64", "did you mean 'nf4'?"),
        ("int4-ASYM@32", "did you mean 'asym'?"),
        ("int4@32~RNE", "the default"),
        ("Nvfp4", "is it the named scheme 'nvfp4'?"),
        ("w4a16", "is it the named scheme 'W4A16'?"),
        ("nvfp4@32", "nvfp4 is the named scheme 'e2m1@16:e4m3'"),
        ("INT8", "'int8-full@row:bf16', and here 'int8' is another scheme"),
    ],
)
def test_the_names_of_the_field_are_known(text, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        scheme(text)


def test_names_that_differ_in_case_alone_do_not_name_two_schemes():
    for name in HUGGING_FACE:
        readings = {str(read) for each in (name, name.lower()) if (read := _read_or_none(each)) is not None}
        assert len(readings) <= 1, name


def _read_or_none(text):
    try:
        return scheme(text)
    except ValueError:
        return None


@given(st.sampled_from([row.value for row in qr.presets.rows]), st.data())
def test_spaces_around_signs_do_not_matter(text, data):
    spaced = re.sub(r"[-@~:(),+]", lambda sign: data.draw(st.sampled_from([f" {sign[0]}  ", f"{sign[0]} ", sign[0]])), text)
    assert scheme(spaced) == scheme(text)
