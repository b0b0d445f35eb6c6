"""What can go wrong with a user's files, each said in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from sketches.core.text import printable

__all__ = ["InputError", "explained", "printable", "reason"]

_LONGEST = 300  # characters of a foreign message: parsers quote whole rows


class InputError(Exception):
    """An error that the user can mend; its text is the one line that is printed."""


def reason(error: BaseException) -> str:
    """Give an error's message in one line of bounded length."""
    text = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
    text = printable(text)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn errors of the operating system and of Arrow's parsers into a `InputError` that begins with `name`.

    A closed pipe is no error: whoever reads has enough.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{name}: {reason(error)}") from error
