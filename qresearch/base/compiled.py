"""Keeps what JAX compiles between processes, in its persistent compilation cache."""

from __future__ import annotations

import os
from pathlib import Path

import jax


def keep_compiled(folder: str | os.PathLike[str] | None = None) -> Path:
    """Keeps what this process compiles from here on, so that later processes load it: a first result takes a moment then.

    It turns JAX's persistent compilation cache on, for functions of any size; call it before the first function of this
    package. The key of a program is its code, the version of JAX, the flags and the processor. The folder may be deleted at any
    time; nothing is ever removed from it.

    Args:
        folder: where the programs are kept. By default `JAX_COMPILATION_CACHE_DIR`, or else `qresearch/compiled` in the user's
            cache folder (`XDG_CACHE_HOME` or `~/.cache`), where sweeps keep theirs.

    Returns:
        The folder.

    >>> import tempfile
    >>> before = jax.config.values["jax_compilation_cache_dir"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keep_compiled(folder) == Path(folder)
    True
    >>> jax.config.update("jax_compilation_cache_dir", before)
    """
    kept = folder or jax.config.values["jax_compilation_cache_dir"] or _usual()
    jax.config.update("jax_compilation_cache_dir", os.fspath(kept))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return Path(kept)


def _usual() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "qresearch" / "compiled"
