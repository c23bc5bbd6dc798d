"""The manifest: the commit, versions and device that the rows were made with."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from experiments.base.code import library

PACKAGES = (
    *("jax", "jaxlib", "numpy", "scipy", "pandas", "matplotlib", "pydantic", "safetensors", "ml_dtypes", "qresearch"),
    *("torch", "bitsandbytes"),
)
"""The packages whose versions are recorded, if they are installed."""


def surroundings() -> dict[str, Any]:
    """Commit, versions and device of this process."""
    return {
        "git": git(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: found for name in PACKAGES if (found := version(name))},
        "device": f"{jax.default_backend()}: {jax.devices()[0].device_kind}",
    }


def maker() -> dict[str, str]:
    """What is kept with every row: the commit, the digest of the code that measures, and the host."""
    found = git()
    commit = "" if found is None else found["commit"][:10] + (" (changed)" if found["dirty"] else "")
    return {"commit": commit, "code": library(), "host": platform.node()}


def git(folder: Path = Path(__file__).parent) -> dict[str, Any] | None:
    """The commit of the project's checkout, and whether tracked files outside results differ; None outside a checkout."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)results")
    return {"commit": commit, "dirty": bool(changed)}


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """The differences between two plain values, as lines `path: old -> new`.

    >>> differences({"seeds": [0], "name": "a"}, {"seeds": [0, 1], "name": "a"})
    ['seeds: [0] -> [0, 1]']
    """
    if isinstance(old, dict) and isinstance(new, dict):
        keys = dict.fromkeys([*old, *new])
        return [line for key in keys for line in differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)]
    return [] if old == new else [f"{path}: {_short(old)} -> {_short(new)}"]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def version(package: str) -> str:
    """The installed version of a package; empty if it is not installed.

    >>> version("no-such-package")
    ''
    """
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
