"""A configuration: from a YAML file to a validated, frozen `Config`, or to every error at once, each with its place."""

from experiments.config.load import dump, load
from experiments.config.model import Config
from experiments.config.problems import ConfigError

__all__ = ["Config", "ConfigError", "dump", "load"]
