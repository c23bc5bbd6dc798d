"""Weights that were trained here are kept, so that a model is trained once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from experiments.base.files import make_folder, replacing
from experiments.tasks.data import folder


def kept(name: str, like: Any, make: Callable[[], Any]) -> Any:
    """Parameters by name: read from `trained/NAME.safetensors` in the folder of data, or made and written there.

    Args:
        name: says all that the parameters depend on.
        like: parameters of the same shapes.
        make: trains them.
    """
    from safetensors.numpy import load_file, save_file

    path = folder() / "trained" / f"{name}.safetensors"
    leaves, structure = jax.tree.flatten_with_path(like)
    names = ["/".join(str(key.key) for key in where) for where, _ in leaves]
    if not path.exists():
        make_folder(path.parent)
        made = dict(zip(names, map(np.asarray, jax.tree.leaves(make()))))
        with replacing(path) as temporary:
            save_file(made, str(temporary))
    found = load_file(str(path))
    return jax.tree.unflatten(structure, [jax.numpy.asarray(found[each]) for each in names])
