"""The cells of a CSV column as items: of the column's type where they fit, else strings.

What a cell becomes depends on the cell and the column's type alone, never on the cells around it. Most blocks fit as a
whole and are cast at once; `_mixed`, which sorts cells one by one, must give the same values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

__all__ = ["typed"]

_NULLS = pa.csv.ConvertOptions().null_values  # such as NA, null, NaN
_TASTED = (
    64  # cells that are cast before all: Arrow's cast does not stop at a bad cell, and takes a microsecond for each
)
_EXACT = 2.0**53  # a float of at least this may stand for several integers


class _Form(NamedTuple):
    """What cells of one look are cast to; a cell of that look may still not fit, such as 2024-02-30."""

    look: str  # a regular expression, less the blanks around
    cast: Callable[[pa.Array], pa.Array]


def _to(kind: pa.DataType) -> Callable[[pa.Array], pa.Array]:
    return lambda cells: pc.cast(cells, kind)


def _clock(cells: pa.Array) -> pa.Array:
    """Cast times of day, which Arrow casts only together with a day."""
    return pc.cast(pc.cast(pc.binary_join_element_wise("1970-01-01", cells, " "), pa.timestamp("s")), pa.time32("s"))


_WHOLE = r"[-+]?[0-9]+"
_NUMBER = (
    _Form(r"-?[0-9]{1,18}", _to(pa.int64())),
    _Form(r"[-+]?[0-9]{1,76}", _to(pa.decimal256(76, 0))),  # exact; longer ones stay strings, and thereby exact too
    _Form(r"0[xX][0-9a-fA-F]{1,16}", _to(pa.uint64())),
    _Form(
        r"[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|(?i:inf|infinity|nan))",
        _to(pa.float64()),
    ),
)
_BOOL = (_Form(r"(?i:true|false)|[01]", _to(pa.bool_())),)
_CLOCK = (_Form(r"[0-9]{2}:[0-9]{2}(?::[0-9]{2})?", _clock),)
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"


def _forms(kind: pa.DataType) -> Sequence[_Form]:
    """Give the forms that fit a type, in the order in which they are tried; none for strings."""
    types = pa.types
    if types.is_integer(kind) or types.is_floating(kind):
        return _NUMBER
    if types.is_boolean(kind):
        return _BOOL
    if types.is_time(kind):
        return _CLOCK
    if types.is_date(kind) or types.is_timestamp(kind):  # a day is the same item as its first instant
        zone = kind.tz if types.is_timestamp(kind) else None
        end = "(?:Z|[-+][0-9:]+)" if zone else ""
        return (
            _Form(rf"{_DAY}(?:[ T][0-9:]+{end})?", _to(pa.timestamp("s", zone))),
            _Form(rf"{_DAY}[ T][0-9:]+\.[0-9]+{end}", _to(pa.timestamp("ns", zone))),
        )
    return ()


def typed(cells: pa.Array, kind: pa.DataType) -> pa.Array:
    """Give the items of a column of type `kind`.

    Parameters
    ----------
    cells
        Binary, null where empty. Words such as ``NA`` are nulls too, but where `kind` is a string.
    kind
        What Arrow infers from the start of the file. Integers and floats are one kind: a number without a fraction is
        an exact integer, of up to 76 digits.

    Returns
    -------
    array
        Where all cells fit, of their type. Otherwise a dense union, whose last child are the cells that do not fit, as
        strings, and the nulls. Strings are binary in a block that is not UTF-8.
    """
    forms = _forms(kind)
    try:
        cells = pc.cast(cells, pa.string())
    except pa.ArrowInvalid:  # not UTF-8
        return _mixed(_less_nulls(cells), forms) if forms else cells
    if not forms:
        return cells
    found = _at_once(cells, kind, forms)
    if found is None:
        cells = _less_nulls(cells)
        found = _at_once(_trimmed(cells), kind, forms)
    return _mixed(cells, forms) if found is None else found


def _less_nulls(cells: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_in(cells, pa.array(_NULLS, cells.type)), pa.scalar(None, cells.type), cells)


def _trimmed(cells: pa.Array) -> pa.Array:
    return pc.ascii_trim(cells, " \t")


def _at_once(cells: pa.Array, kind: pa.DataType, forms: Sequence[_Form]) -> pa.Array | None:
    """Cast a whole column; None where cells do not fit or need a closer look."""
    if forms is _NUMBER:
        return _numbers(cells)
    if forms is _CLOCK:
        looks = pc.match_substring_regex(cells, f"^(?:{_CLOCK[0].look})$")
        return _try(_clock, cells) if pc.all(looks, min_count=0).as_py() else None
    return _try(_to(kind), cells)


def _numbers(cells: pa.Array) -> pa.Array | None:
    for kind in (pa.int64(), pa.uint64()):
        whole = _try(_to(kind), cells)
        if whole is not None:  # Arrow takes 0xFFFFFFFFFFFFFFFF for -1 among the one type
            return None if pc.any(pc.starts_with(cells, "0x", ignore_case=True)).as_py() else whole
    found = _try(_to(pa.float64()), cells)
    if found is None or pc.any(pc.is_nan(found)).as_py():  # NaN is how some write a null
        return None
    large = cells.filter(pc.greater_equal(pc.abs(found), _EXACT))
    return None if pc.any(pc.match_substring_regex(large, f"^{_WHOLE}$")).as_py() else found


def _try(cast: Callable[[pa.Array], pa.Array], cells: pa.Array) -> pa.Array | None:
    try:
        cast(cells[:_TASTED])
        return cast(cells)
    except pa.ArrowInvalid:
        return None


def _mixed(cells: pa.Array, forms: Sequence[_Form]) -> pa.Array:
    """Sort cells by the first form that they fit."""
    text = len(forms)
    codes = np.full(len(cells), text, np.int8)
    children = []
    for code, form in enumerate(forms):
        looks = pc.match_substring_regex(cells, rf"^[ \t]*(?:{form.look})[ \t]*$").fill_null(False)
        (places,) = np.nonzero(looks.to_numpy(zero_copy_only=False) & (codes == text))
        fits, values = _fitting(_trimmed(pc.cast(cells.take(pa.array(places)), pa.string())), form.cast)
        codes[places[fits]] = code
        children.append(values)
    children.append(cells.filter(pa.array(codes == text)))
    offsets = np.empty(len(cells), np.int32)
    for code, child in enumerate(children):
        offsets[codes == code] = np.arange(len(child))
    return pa.UnionArray.from_dense(pa.array(codes), pa.array(offsets), children)


def _fitting(cells: pa.Array, cast: Callable[[pa.Array], pa.Array]) -> tuple[npt.NDArray[np.bool_], Any]:
    """Tell which cells can be cast, and cast them."""
    found = _try(cast, cells)
    if found is not None:
        return np.ones(len(cells), np.bool_), found
    distinct = cells.dictionary_encode()
    fits, values = _halved(distinct.dictionary, cast)
    codes = distinct.indices.to_numpy()
    kept = fits[codes]
    return kept, values.take(pa.array((np.cumsum(fits) - 1)[codes[kept]]))


def _halved(cells: pa.Array, cast: Callable[[pa.Array], pa.Array]) -> tuple[npt.NDArray[np.bool_], Any]:
    """Do so by halves where not all can be cast."""
    found = _try(cast, cells)
    if found is not None:
        return np.ones(len(cells), np.bool_), found
    if len(cells) == 1:
        return np.zeros(1, np.bool_), cast(cells[:0])
    half = len(cells) // 2
    parts = [_halved(part, cast) for part in (cells[:half], cells[half:])]
    return np.concatenate([fits for fits, _ in parts]), pa.concat_arrays([values for _, values in parts])
