"""The results folder: an append-only log of rows, a manifest, the resolved configuration, and a lock."""

from experiments.store.folder import Results, saved_config
from experiments.store.lock import Busy

__all__ = ["Busy", "Results", "saved_config"]
