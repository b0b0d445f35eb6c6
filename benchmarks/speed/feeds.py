"""The fastest documented way to feed each peer. All are imported only when their contender is prepared."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.speed.contender import Contender

PEERS = ("datasketches", "polars", "duckdb", "rbloom", "abloom", "fastbloom-rs", "crick", "pyprobables", "datasketch")
MODULES = {"fastbloom-rs": "fastbloom_rs", "pyprobables": "probables"}


def one_by_one(add: Callable[[Any], Any], items: Iterable[Any]) -> None:
    """Call `add` for each item, with no loop in Python."""
    deque(map(add, items), maxlen=0)


def ours(name: str, make: Callable[[], Any], items: Any, **facts: Any) -> Contender:
    """Feed one of our sketches with everything at once."""
    return Contender(
        name=name,
        role="ours",
        items=len(items),
        prepare=make,
        run=lambda sketch: sketch.update(items),
        size=lambda sketch: sketch.nbytes,
        **facts,
    )


def datasketches(name: str, make: Callable[[Any], Any], items: Any, **facts: Any) -> Contender:
    """Feed a sketch of `datasketches`: an item a call, or an array, which its sketches of numbers take."""

    def prepare() -> Any:
        import datasketches as library

        return make(library)

    if isinstance(items, list):
        return Contender(
            f"datasketches {name}", "peer", len(items), prepare, lambda s: one_by_one(s.update, items), **facts
        )
    return Contender(f"datasketches {name}", "peer", len(items), prepare, lambda s: s.update(items), **facts)


def polars(name: str, items: Any, ask: Callable[[Any], Any], **facts: Any) -> Contender:
    """Ask a Polars Series."""

    def prepare() -> Any:
        import polars as pl

        return pl.Series("x", items)

    return Contender(f"Polars {name}", items=len(items), prepare=prepare, run=ask, **facts)


def duckdb(expression: str, items: Any, **facts: Any) -> Contender:
    """Ask DuckDB an aggregate of the column x of an Arrow table, which it reads in place, on one thread."""

    def prepare() -> Any:
        import duckdb as library
        import pyarrow as pa

        connection = library.connect()
        connection.execute("SET threads = 1")
        connection.register("stream", pa.table({"x": items}))
        return connection

    def ask(connection: Any) -> Any:
        return connection.execute(f"SELECT {expression} FROM stream").fetchall()[0][0]  # noqa: S608  # our own text

    return Contender(f"DuckDB {expression.split('(')[0]}", "peer", len(items), prepare, ask, **facts)
