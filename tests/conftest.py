"""What holds for every test: nothing is promoted silently, hypothesis repeats itself, what is registered goes with the test."""

import os

import jax
import pytest
from hypothesis import HealthCheck, settings

import qresearch as qr
from experiments.config.plugins import LOADED
from experiments.tasks.task import TASKS
from qresearch import testing
from qresearch.grammar import build as builder

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# Compiling takes most of an example's time, and only the first one of a structure compiles: deadlines mean nothing.
_QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("ci", derandomize=True, database=None, **_QUIET)
settings.register_profile("explore", print_blob=True, **_QUIET)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

TABLES = (
    qr.elements,
    qr.statistics,
    qr.roundings,
    qr.rules,
    qr.presets,
    qr.wrappers,
    qr.metrics,
    qr.sums,
    qr.distributions,
    qr.designs,
    testing.LAWS,
    TASKS,
)


@pytest.fixture(autouse=True)
def _tables_as_they_were():
    """Takes back what a test, or a plugin that it ran, has registered: the tests of a process share its tables."""
    before = [{name: dict(rows) for name, rows in vars(table).items() if isinstance(rows, dict)} for table in TABLES]
    plugins = dict(LOADED)
    yield
    for table, states in zip(TABLES, before):
        if any(getattr(table, name) != rows for name, rows in states.items()):
            vars(table).update(states)
            builder._built.cache_clear()  # a name may mean another thing in the next test
    LOADED.clear()
    LOADED.update(plugins)


@pytest.fixture(autouse=True, scope="module")
def _no_programs_left():
    """Lets go of what a file has compiled: with all of it alive tests are slower, and take several times the memory."""
    yield
    jax.clear_caches()
