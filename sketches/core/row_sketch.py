"""What sketches share whose state is rows of counters: their bytes, and merging."""

from __future__ import annotations

from typing import Any

import numpy as np

from sketches._ext.counter_rows import CounterRows, RowReader
from sketches.core.hash_sketch import HashSketch
from sketches.core.wire import Envelope, FormatError, require

__all__ = ["RowSketch"]


class RowSketch(HashSketch, CounterRows):
    """A sketch of `depth` rows of `width` counters, which take 1 byte each at first and up to 8 as they grow."""

    __slots__ = ()

    @property
    def nbytes(self) -> int:
        """The memory of the counters, in bytes; it grows with them."""
        return self._memory()

    def _fields(self) -> dict[str, Any]:
        size, cells, places, values = self._packed()
        cells = cells.astype(f"<i{size}", copy=False).view(np.uint8)
        return {**self._parameters(), "counter_bytes": size, "cells": cells, "places": places, "values": values}

    @staticmethod
    def _reader(fields: dict[str, Any], envelope: Envelope) -> RowReader:
        """Read the counters, or raise ``FormatError`` where they do not go with shape or weight."""
        depth, width = fields["depth"], fields["width"]
        packed = "cells" in fields  # layouts before the counters grew had `counters` of 8 bytes
        size, cells = (fields["counter_bytes"], fields["cells"]) if packed else (8, fields["counters"].view(np.uint8))
        require(size in (1, 2, 4, 8), f"counter_bytes is {size}; it is 1, 2, 4 or 8")
        require(len(cells) == size * width * depth, f"{len(cells) // size} counters for a table of {depth} × {width}")
        if packed:
            cells = cells.view(f"<i{size}").astype(f"=i{size}", copy=False).view(np.uint8)
        none = np.empty(0, np.int64)
        try:
            reader = RowReader(width, size, cells, fields.get("places", none), fields.get("values", none), packed)
        except ValueError as error:
            raise FormatError(str(error)) from None
        # So no counter exceeds it either, nor can overflow later.
        require(max(reader.weights) <= envelope.weight, "counters exceed the total count")
        return reader
