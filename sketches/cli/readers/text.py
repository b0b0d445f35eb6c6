"""Text: one column, `line`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from sketches.cli.readers.common import Batches, first_not_utf8, select
from sketches.cli.source import Source

__all__ = ["read", "split_lines"]

_LINES = 1 << 20  # bytes of text turned into lines at once: what fits into the processor's cache


def read(source: Source, columns: Sequence[str]) -> Batches:
    """Yield blocks of lines."""
    select(source, columns, ["line"])
    for block in source.blocks(_LINES):
        yield pa.record_batch({"line": split_lines(block)})


def split_lines(block: bytes) -> pa.Array:
    r"""Split at ``\n`` and ``\r\n``: an Arrow string array, or binary where a line of the block is not UTF-8."""
    block = block.replace(b"\r\n", b"\n")
    if not block.endswith(b"\n"):
        block += b"\n"
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
    # Without the newlines the lines lie end to end, as Arrow wants them; line i's end moves left by the i newlines
    # before it.
    offsets = np.zeros(len(ends) + 1, np.int64)
    np.subtract(ends, np.arange(len(ends)), out=offsets[1:])
    data = block.translate(None, b"\n")
    kind = pa.large_string() if first_not_utf8(data) is None else pa.large_binary()
    return pa.Array.from_buffers(kind, len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(data)])
