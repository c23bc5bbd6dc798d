"""The contract is one file of thousands of tests: what it compiles is let go every few presets."""

import jax

OFTEN = 8
"""Presets after which compiled functions are let go; single operations serve several presets."""

_served: list[str] = []


def pytest_runtest_teardown(item, nextitem):
    marks = [each.get_closest_marker("xdist_group") if each else None for each in (item, nextitem)]
    here, there = (mark.args[0] if mark else None for mark in marks)
    if here != there:
        _served.append(here)
        if len(_served) % OFTEN == 0:
            jax.clear_caches()
