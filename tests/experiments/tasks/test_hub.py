"""Checkpoints of the Hugging Face hub, from a cache as huggingface_hub lays it out; no test needs a network."""

import sys
from pathlib import Path

import pytest

from experiments.tasks.hub import checkpoint
from experiments.tasks.language import perplexity
from experiments.tasks.task import Unavailable

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and no network."""
    constants = pytest.importorskip(
        "huggingface_hub.constants", reason="huggingface_hub is not installed: pip install 'qresearch[hub]'"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def cached(cache, repo, files, revision="main"):
    """Puts a repository into the cache."""
    place = cache / f"models--{repo.replace('/', '--')}"
    (place / "refs").mkdir(parents=True, exist_ok=True)
    (place / "refs" / revision).write_text(COMMIT)
    for file in files:
        target = place / "snapshots" / COMMIT / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("{}")
    return place / "snapshots" / COMMIT


def test_a_cached_repository_needs_no_network(cache):
    from huggingface_hub import snapshot_download

    place = cached(cache, "owner/name", ["config.json"])
    assert checkpoint("hub:owner/name") == place == Path(snapshot_download("owner/name", local_files_only=True))
    assert checkpoint(f"hub:owner/name@{COMMIT}") == place
    cached(cache, "owner/name", ["w/model.gguf"], "v1.0")
    assert checkpoint("hub:owner/name/w/model.gguf@v1.0") == place / "w" / "model.gguf"


@pytest.mark.parametrize("folder", ["hub:owner/other", "hub:owner/name@v9", "hub:owner/name/other.gguf"])
def test_what_the_hub_does_not_give(cache, folder):
    cached(cache, "owner/name", ["config.json"])
    with pytest.raises(Unavailable, match=r"could not be downloaded: (.|\n)*give its folder") as error:
        checkpoint(folder)
    assert repr(folder) in str(error.value)


@pytest.mark.parametrize("folder", ["hub:", "hub:name", "hub:owner/name/file.bin", "hub:owner/name@", "hub:a/../b"])
def test_other_forms(folder):
    with pytest.raises(ValueError, match="is not of the form hub:owner/name"):
        checkpoint(folder)


def test_local_paths_stay_as_they_are():
    assert checkpoint("my/checkpoint") == Path("my/checkpoint")


def test_without_huggingface_hub(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(Unavailable, match=r"pip install 'qresearch\[hub\]', or give a local folder"):
        checkpoint("hub:owner/name")


def test_a_task_takes_one(cache, tmp_path):
    """It comes as far as the files of the cached repository."""
    cached(cache, "owner/name", ["config.json"])
    (tmp_path / "text.txt").write_text("It is a truth")
    with pytest.raises(ValueError, match="the architecture '' is not known here"):
        perplexity(0, "llama", "hub:owner/name", str(tmp_path / "text.txt"), "", 1, 1)
