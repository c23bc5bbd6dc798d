"""Where the checkpoint of a task lies: a local folder or file, or one of the Hugging Face hub, downloaded once."""

from __future__ import annotations

import re
from pathlib import Path

from experiments.tasks.task import Unavailable

PREFIX = "hub:"

SPELLING = re.compile(r"hub:(?P<repo>[\w.-]+/[\w.-]+)(?:/(?P<file>[\w./-]+\.gguf))?(?:@(?P<revision>[\w./-]+))?")

FILES = ["*.json", "*.safetensors", "tokenizer*"]
"""What a task reads of a repository. Neither pickles nor code are downloaded."""

OTHER_FORMATS = ["onnx/*", "openvino/*", "original/*"]


def checkpoint(folder: str) -> Path:
    """The path of a checkpoint.

    Args:
        folder: a local path, which is returned as it is; or `hub:owner/name`, `hub:owner/name@revision`, or one file of a
            repository, `hub:owner/name/file.gguf`. What was downloaded stays in the cache of huggingface_hub, where it is
            found without a network too. A revision, best a commit, makes results reproducible.

    Raises:
        ValueError: for a text that begins with `hub:` and is not of this form.
        Unavailable: if huggingface_hub is not installed, or the hub does not give the repository.
    """
    if not folder.startswith(PREFIX):
        return Path(folder)
    if (found := SPELLING.fullmatch(folder)) is None:
        raise ValueError(f"folder: {folder!r} is not of the form hub:owner/name, hub:owner/name@revision, or .../file.gguf")
    try:
        from huggingface_hub import hf_hub_download, snapshot_download
    except ModuleNotFoundError as error:
        raise Unavailable(
            f"folder: {folder!r} needs huggingface_hub: pip install 'qresearch[hub]', or give a local folder"
        ) from error
    repo, file, revision = found.groups()
    try:
        if file is not None:
            return Path(hf_hub_download(repo, file, revision=revision))
        return Path(snapshot_download(repo, revision=revision, allow_patterns=FILES, ignore_patterns=OTHER_FORMATS))
    except Exception as error:  # of the network, the hub and the disk, of many kinds
        said = " ".join(str(error).split()) or type(error).__name__
        raise Unavailable(
            f"folder: {folder!r} could not be downloaded: {said[:300]}\nOther ways: check the name; log in with "
            "`hf auth login` if the model is gated; or copy the repository from another machine and give its folder"
        ) from error
