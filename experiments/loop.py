"""The loop of a sweep: makes the sources one after the other, and measures the batches of each."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from experiments.rows.plan import Plan, Row
from experiments.rows.sources import rounding_key
from experiments.running.measure import Meter, Outcome, failed

T = TypeVar("T")


def measured(plan: Plan, rows: Sequence[Row], meter: Meter) -> Iterator[list[Outcome]]:
    """The outcomes, batch by batch.

    Each array is made once, while the one before it is measured, and is freed after its last row. A source that is read in
    pieces is read by every batch.
    """
    with ThreadPoolExecutor(1, "make") as maker:
        begun = ((maker.submit(meter.ready, source, seed), source, seed, batches) for source, seed, batches in plan.draws(rows))
        for coming, source, seed, batches in one_ahead(begun):
            meter.begin(batches[0])
            meter.functions.prepare(batches[0])  # while the source is being made
            try:
                x = coming.result()
            except (Exception, SystemExit) as error:  # a source that cannot be made fails its own rows only
                yield [failed(row, error) for batch in batches for row in batch]
                continue
            finally:
                del coming  # it would hold the array until the next one is needed
            key = rounding_key(source.name, seed)
            for batch in batches:
                yield list(meter.measure(batch, x, key))
            del x


def one_ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items. Each is yielded only after the next one has been requested, so that work on that one can begin."""
    items = iter(items)
    waiting = list(itertools.islice(items, 1))
    while waiting:
        following = list(itertools.islice(items, 1))
        yield waiting.pop()
        waiting = following
