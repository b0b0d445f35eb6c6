"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["whole_file"]


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file to write: a temporary file beside it, which takes its place when the block ends without an error.

    A file that exists keeps its mode. A link stays a link, to the new contents; a device or pipe is written to, for a
    rename would replace it.
    """
    path = Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        with open(path, "wb") as file:
            yield file
        return
    path = Path(os.path.realpath(path))
    # Another thread may write the same file, and a name has a greatest length.
    temporary = path.with_name(f".{path.name[:32]}.{secrets.token_hex(4)}.tmp")
    mode = stat.S_IMODE(path.stat().st_mode) & 0o777 if path.exists() else None
    try:
        # From the start no one may open the new file who may not open the old one; the umask may take too much away.
        with open(
            temporary, "xb", opener=lambda name, flags: os.open(name, flags, 0o666 if mode is None else mode)
        ) as file:
            if mode is not None and stat.S_IMODE(os.fstat(file.fileno()).st_mode) != mode:
                os.chmod(temporary, mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
