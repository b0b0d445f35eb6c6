"""What sketches share whose state follows from the hashes of items alone: batches, queries and merging."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sketches._ext.hash_kernel import HashKernel
from sketches.core.contract import Sketch
from sketches.core.items import Block, blocks, hash_block, is_sized

__all__ = ["HashSketch"]


class HashSketch(Sketch, HashKernel):
    """A sketch whose kernel takes over hashes (`_insert`) and answers questions about them (`_ask`)."""

    __slots__ = ()

    _in_place = (np.int64,)  # the kernel hashes integers a few at a time

    def _add_block(self, block: Block) -> None:
        integers = block.column.integers(block.start, block.stop)
        if integers is not None:
            self._insert_integers(integers, block.counts)
            return
        hashed = hash_block(block, self.hasher)
        self._insert(hashed.hashes, hashed.counts)
        if hashed.nulls:
            self._add_nulls(hashed.nulls)

    def _answers(self, items: Any, dtype: npt.DTypeLike, null: Any = None) -> npt.NDArray[Any]:
        """Ask the kernel about each item; the answer for a null is `null`, by default an error."""
        answers = np.empty(len(items) if is_sized(items) else 0, dtype)
        done = 0
        for block in blocks(items, in_place=self._in_place):
            size = block.stop - block.start
            if done + size > len(answers):  # an iterable
                answers = np.concatenate([answers[:done], np.empty(size + done, dtype)])
            found = answers[done : done + size]
            done += size
            integers = block.column.integers(block.start, block.stop)
            if integers is not None:
                self._ask_integers(integers, found.view(np.uint8))
                continue
            hashed = hash_block(block, self.hasher)
            if hashed.kept is None:
                self._ask(hashed.hashes, found.view(np.uint8))
                continue
            if null is None:
                raise ValueError(f"items hold {hashed.nulls} nulls; a query accepts none")
            known = np.empty(len(hashed.hashes), dtype)
            self._ask(hashed.hashes, known.view(np.uint8))
            found[:] = null
            found[hashed.kept] = known
        return answers[:done]
