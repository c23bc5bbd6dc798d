"""What the tables and figures of a folder were made from: files of equal origin need not be rewritten.

The file `made.json` has, for each output, the digest of its origin and those of its files, so that a file which was changed or
removed is rewritten too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.base.code import OURS, digest
from experiments.base.files import write
from experiments.store.manifest import version

FILE = "made.json"
DRAWING = ("base", "config", "rows", "store", "showing", "figures", "figures/page")
"""The folders of the runner that decide what tables and figures look like."""

PACKAGES = ("matplotlib", "fonttools", "pillow", "pandas", "tabulate", "numpy", "scipy", "jax")

ALL = ""
"""The name under which the origin of all outputs together is kept, and what was said about them."""


@dataclass
class Stamp:
    """The origins of the outputs of a folder.

    Attributes:
        folder: the results folder.
        outputs: output -> its origin and its files, as in the file.
    """

    folder: Path
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Stamp:
        """What the folder says; nothing if it says nothing, or if its file is damaged."""
        try:
            found = json.loads((folder / FILE).read_text(encoding="utf-8"))
            return cls(folder, {str(name): dict(entry) for name, entry in found.items()})
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return cls(folder)

    def files(self, output: str, origin: str) -> list[Path] | None:
        """The files of an output that were made from this origin and are unchanged; None if it has to be made."""
        entry = self.outputs.get(output, {})
        files = entry.get("files")
        if entry.get("origin") != origin or not isinstance(files, dict):
            return None
        return [self.folder / name for name in files] if all(map(self._unchanged, files, files.values())) else None

    def lines(self, output: str, kind: str = "said") -> list[str]:
        """What was printed when an output was made, or other lines that were noted with it."""
        return list(map(str, self.outputs.get(output, {}).get(kind, [])))

    def note(self, output: str, origin: str, files: Iterable[Path], **lines: list[str]) -> None:
        """Notes the origin of files that have just been made, with lines such as those that were printed."""
        made = {str(path.relative_to(self.folder)): _content(path) for path in files}
        self.outputs[output] = {"origin": origin, "files": made} | {kind: each for kind, each in lines.items() if each}

    def save(self, outputs: Iterable[str]) -> None:
        """Writes the file, with the given outputs alone."""
        kept = {name: self.outputs[name] for name in outputs if name in self.outputs}
        write(self.folder / FILE, json.dumps(kept, indent=1) + "\n")

    def _unchanged(self, name: str, content: str) -> bool:
        path = self.folder / name
        return path.is_file() and _content(path) == content


def drawing() -> str:
    """The digest of what makes tables and figures of rows: our code, the style sheet, and the versions of packages."""
    runner = OURS[1]
    files = [*OURS[0].rglob("*.py"), *(file for name in DRAWING for file in (runner / name).glob("*.*"))]
    return "-".join([digest(map(str, [*files, OURS[0] / "paper.mplstyle"])), *map(version, PACKAGES)])


def origin(*parts: Any) -> str:
    """16 hexadecimal digits for texts, bytes and plain values."""
    encoded = (part if isinstance(part, bytes) else json.dumps(part, sort_keys=True, default=str).encode() for part in parts)
    return hashlib.sha256(b"\0".join(encoded)).hexdigest()[:16]


def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
