"""YAML with places."""

import pytest
import yaml

from experiments.config.problems import ConfigError, Place
from experiments.config.reader import Dumper, parse


def test_scalars_are_those_of_yaml_1_2():
    text = "[1e-5, 1E5, .5, -2., 1_000, 0x10, no, off, yes, 010, 1:30, true, ~, .inf, nf4@64:bf16, '1e-5', 2024-01-01]"
    expected = [1e-5, 1e5, 0.5, -2.0, 1000, 16, "no", "off", "yes", "010", "1:30", True, None, float("inf")]
    assert parse(text, "f").data == [*expected, "nf4@64:bf16", "1e-5", "2024-01-01"]


def test_places_are_those_of_the_keys_and_items():
    document = parse("a: 1\nb:\n  - x\n  - {c: 2}\n", "f")
    assert document.place(("b",)) == Place("f", 2, 1)
    assert document.place(("b", 1)) == Place("f", 4, 5)
    assert document.place(("b", 1, "c")) == Place("f", 4, 6)
    assert document.place(("b", 1, "c", "nowhere")) == Place("f", 4, 6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", "f:3:1: a: key given twice; the first is in line 1"),
        ("a: {x: 1, x: 2}\n", "f:1:11: a.x: key given twice; the first is in line 1"),
        ("a: b: c\n", "f:1:5: not YAML: mapping values are not allowed here"),
        ("a: [1\n", "f:2:1: not YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: !!python/object:os.system x\n", "f:1:4: a: the tag"),
        ("? [1]\n: 2\n", "f:1:3: a key must be a word"),
        ("a: \x01\n", "f: not YAML: unacceptable character"),
        ("[" * 2000, "f:1:34: nested deeper than 32 levels; refused"),
        ("a: &a [*a]\n", "nested deeper than"),
    ],
)
def test_faults_have_a_place(text, expected):
    with pytest.raises(ConfigError) as caught:
        parse(text, "f")
    assert expected in str(caught.value)


def test_aliases_that_unfold_without_end_are_refused():
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    with pytest.raises(ConfigError, match="more than 100000 values"):
        parse("\n".join(lines), "f")


def test_an_alias_is_its_value():
    assert parse("a: &a [1, 2]\nb: *a\n", "f").data == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize("value", ["no", "1e-5", "true", "~", "", "010", "1_0", 1e-5, 3, True, None, "a: b", "ü"])
def test_what_is_dumped_is_read_back(value):
    assert parse(yaml.dump({"a": value}, Dumper=Dumper, allow_unicode=True), "f").data == {"a": value}
