"""Parts: the class belongs to the structure of the pytree."""

import dataclasses

import jax
import numpy as np

import qresearch as qr
from qresearch.base.part import part, static
from qresearch.element.integers import Uniform


@part
class Other(Uniform):
    """Has the fields of `Uniform`."""


def test_structures_of_different_classes_are_never_equal():
    grid = qr.build("int4").element.grid
    other = Other(**{field.name: getattr(grid, field.name) for field in dataclasses.fields(grid)})
    assert jax.tree.structure(grid) != jax.tree.structure(other)
    assert jax.tree.structure(grid) == jax.tree.structure(dataclasses.replace(grid))
    assert jax.tree.structure(grid) == jax.tree.structure(qr.build("int3").element.grid)  # numbers are leaves


def test_jit_never_runs_the_program_of_another_class():
    """jit's cache compares part of a hash first; among 200 classes with equal fields some of these parts collide."""

    def numbered(number):
        @part
        class Numbered:
            leaf: float

            def value(self):
                return self.leaf * 0 + number

        return Numbered

    run = jax.jit(lambda thing: thing.value())
    assert [int(run(numbered(i)(np.float32(1)))) for i in range(200)] == list(range(200))


def test_leaves_and_static_fields_keep_their_names():
    @part
    class Mixed:
        name: str = static()
        number: float
        kind: str = static(default="plain")
        more: float = 2.0

    thing = Mixed(name="a", number=1.0)
    leaves, structure = jax.tree.flatten(thing)
    assert leaves == [1.0, 2.0]
    assert vars(jax.tree.unflatten(structure, leaves)) == {"name": "a", "number": 1.0, "kind": "plain", "more": 2.0}
    assert [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(thing)] == [".number", ".more"]
