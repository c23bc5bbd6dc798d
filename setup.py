"""What pyproject.toml cannot say: the runner lies inside the library when it is installed.

So installing adds no top-level name `experiments`, which other projects have too; `qresearch.run` finds it there.
"""

from setuptools import find_packages, setup

INSIDE = "qresearch._runner."

setup(
    packages=[*find_packages(include=["qresearch*"]), *(INSIDE + name for name in find_packages(include=["experiments*"]))],
    package_dir={f"{INSIDE}experiments": "experiments"},
)
