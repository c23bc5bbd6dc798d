"""Configurations: a YAML file becomes a validated, frozen `Config`, or a list of all errors with their places."""

from experiments.config.load import dump, load
from experiments.config.model import Config
from experiments.config.problems import ConfigError

__all__ = ["Config", "ConfigError", "dump", "load"]
