"""What can go wrong with a user's files, each said in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

__all__ = ["Problem", "explained", "printable", "reason"]

_LONGEST = 300  # characters of a foreign message: parsers quote whole rows


class Problem(Exception):
    """An error that the user can mend; its text is the one line that is printed."""


def printable(text: str) -> str:
    r"""Escape what would disturb a terminal: control characters, lone surrogates, line breaks (``"\n"`` as backslash n)."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def reason(error: BaseException) -> str:
    """Give an error's message in one line of bounded length."""
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
    else:
        text = str(error) or type(error).__name__
    text = printable(text)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn errors of the operating system and of Arrow's parsers into a `Problem` that begins with `name`."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise Problem(f"{name}: {reason(error)}") from error
