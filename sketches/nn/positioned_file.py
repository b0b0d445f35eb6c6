"""A file that several threads, and processes after a fork, read at any place."""

from __future__ import annotations

import os
import threading
from typing import BinaryIO

__all__ = ["PositionedFile"]

MOST = 2**30  # bytes of a read: macOS refuses 2**31


class PositionedFile:
    """Reads an open file without its position, which all who have inherited the file share; closing it is its owner's.

    Where the system has no such read (Windows, which has no fork either), the position is set under a lock.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._lock = file, threading.Lock()

    def read_into(self, buffer: bytearray | memoryview, start: int) -> int:
        """Fill a buffer of bytes from a place on, and give how many there were."""
        left, found = memoryview(buffer), 0
        while len(left):
            count = self._read(left, start + found)
            if not count:
                break
            left, found = left[count:], found + count
        return found

    def _read(self, buffer: memoryview, start: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._file.fileno(), [buffer[:MOST]], start)
        with self._lock:
            self._file.seek(start)
            count: int = self._file.readinto(buffer)  # type: ignore[attr-defined]
        return count
