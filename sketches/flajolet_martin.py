"""How many distinct?

A hash that begins with 20 zeros is one in a million, so whoever has seen one has probably seen a million different
items; repeats change nothing, as they hash alike. Registers, chosen by other bits of the hash, remember the rarest
hashes, and the one number of items that makes all of them most likely is the estimate.

P. Flajolet and G. N. Martin, "Probabilistic counting algorithms for data base applications", Journal of Computer and
System Sciences 31 (1985). HyperLogLog: P. Flajolet, É. Fusy, O. Gandouet and F. Meunier, AofA 2007. UltraLogLog and
ExaLogLog, the registers with a window, and the estimator: O. Ertl, "UltraLogLog: A practical and more space-efficient
alternative to HyperLogLog for approximate distinct counting", PVLDB 17 (2024), and "ExaLogLog: Space-efficient and
practical approximate distinct counting up to the exa-scale", EDBT 2025.
"""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np

from sketches._ext.flajolet_martin import FlajoletMartinKernel
from sketches._ext.hashing import Hasher
from sketches._ext.kernel import Held
from sketches.core import bounds
from sketches.core.estimate import Estimate, Overlap
from sketches.core.hash_sketch import HashSketch
from sketches.core.likelihood import (
    count_registers,
    count_tokens,
    hidden_count,
    most_likely,
    normal_count,
)
from sketches.core.overlap import overlap_of_registers, overlap_of_tokens
from sketches.core.registers import KINDS, Kind, State, read_state, write_state
from sketches.core.wire import Envelope, require

__all__ = ["FlajoletMartin"]


class FlajoletMartin(HashSketch, FlajoletMartinKernel):
    """The number of distinct items.

    For n distinct items, ``lower <= n <= upper`` with the confidence asked for; the standard error of the estimate is
    at most about ``c / sqrt(2**precision)`` times n, where

    ====== ======= ==================== ==========================================
    kind   c       bytes (p: precision) known as
    ====== ======= ==================== ==========================================
    pcsa   0.649   8 * 2**p             probabilistic counting (1985), whole bitmaps
    hll    1.037   2**p                 HyperLogLog
    ull    0.761   2**p                 UltraLogLog
    ell    0.344   4 * 2**p             ExaLogLog: the least error for its memory
    ====== ======= ==================== ==========================================

    It is smaller while n is below about ten times 2**p, and while n is below 3/16 of the bytes the items are told
    apart by 32-bit tokens and the estimate is nearly always n itself. Memory starts at a few bytes and never exceeds
    the table's.

    Bytes hold little more than the information: 9.2 KB for 16 KiB of "ell" (docs/registers.md). Sketches of different
    precisions merge at the lower one: it takes over the other (`merge`), and ``a | b`` finds it itself.

    Items cannot be removed, and the sketch does not know which items it saw. Whoever knows the seed can choose items
    that make the count arbitrarily large: give a secret `key` where an adversary writes the stream.

    Parameters
    ----------
    precision
        log2 of the number of registers, 4 to 18 (default 12).
    kind
        What a register remembers: "ell" (default), "ull", "hll" or "pcsa".
    error
        Instead of the precision: the relative standard error wanted; the smallest precision that gives it is taken.
    seed, key
        See `sketches.Hasher`.
    martingale
        Count the changes of the state, each as the number of items that it takes on average: for a single stream the
        standard error is smaller (c = 0.306 for "ell", 0.658 for "ull", 0.833 for "hll", 0.589 for "pcsa"). Such a
        sketch neither merges nor fills in several threads; `without_martingale` gives one that does.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or an error is given beside a precision or is smaller than 18 bits reach.

    Examples
    --------
    The standard error at precision 12 is 0.344 / sqrt(4096), about 0.54 %; an estimate is within five of them (2.7 %)
    of the truth but once in a million sketches:

    >>> visitors = FlajoletMartin(precision=12)
    >>> visitors.update(i % 50_000 for i in range(200_000))
    >>> abs(visitors.count() - 50_000) < 0.027 * 50_000
    True

    Two items share a token with probability 2**-27.6, so that few are counted exactly:

    >>> few = FlajoletMartin()
    >>> few.update(["ann", "bob", "ann"])
    >>> round(few.count(), 3)
    2.0
    """

    __slots__ = ()

    def __init__(
        self,
        precision: int | None = None,
        kind: str = "ell",
        *,
        error: float | None = None,
        seed: int = 0,
        key: bytes | None = None,
        martingale: bool = False,
    ) -> None:
        number, resolution, window, _ = _check_kind(kind)
        if error is not None:
            if precision is not None:
                raise TypeError("precision is given beside error; error determines it")
            error = bounds.check_fraction("error", error)
            precision = bounds.flajolet_martin_precision(error, resolution, window)
        precision = bounds.check_integer("precision", 12 if precision is None else precision, 4, 18)
        hasher = Hasher(seed, key)
        if not isinstance(martingale, bool):
            raise TypeError(f"martingale is {martingale!r}; True or False is accepted")
        self._setup(number, precision, np.empty(0, np.uint32))
        self._open(hasher)
        if martingale:
            self._start_martingale(0.0, 0.0)

    @classmethod
    def for_memory(cls, nbytes: int, *, kind: str = "ell", **options: Any) -> Self:
        """Give the most accurate sketch of that kind that never takes more than `nbytes` bytes of state."""
        least = _check_kind(kind).register_bytes << 4
        nbytes = bounds.check_integer("nbytes", nbytes, least, 2**63)
        return cls(min(18, 3 + (nbytes // least).bit_length()), kind, **options)

    @property
    def nbytes(self) -> int:
        """The memory of the tokens' table or of the registers, in bytes."""
        return self._nbytes

    @property
    def kind(self) -> str:
        """What a register remembers."""
        return list(KINDS)[self.kind_number]

    @property
    def relative_error(self) -> float:
        """The standard error of a large count, as a fraction of it; smaller counts have smaller ones."""
        error = bounds.martingale_error if self.martingale else bounds.flajolet_martin_error
        return error(self.precision, *KINDS[self.kind][1:3])

    def count(self, confidence: float = 0.95) -> Estimate:
        """Estimate the number of distinct items (infinity, should every register be full).

        The bounds hold with probability `confidence`; the lower one is at least the number of items that the sketch can
        tell apart. They and the standard error follow from the state's own Fisher information, or from the changes that
        a martingale counted.
        """
        confidence = bounds.check_fraction("confidence", confidence)
        tokens = self.tokens
        if self.martingale:
            return self._count_changes(confidence)
        if len(tokens):
            return count_tokens(tokens, confidence)
        if not len(self.registers):
            return Estimate(0.0, lower=0.0, upper=0.0, confidence=confidence, standard_error=0.0)
        rate, information, distinct = self._most_likely()
        shape = self.precision, *KINDS[self.kind][1:3]
        return count_registers(rate, information, distinct, *shape, confidence)

    def _count_changes(self, confidence: float) -> Estimate:
        value, variance = self._martingale
        tokens = len(self.tokens)
        if tokens or not len(self.registers):
            return hidden_count(value, tokens, confidence)
        return normal_count(value, math.sqrt(variance), self._most_likely()[2], confidence)

    def _most_likely(self) -> tuple[float, float, float]:
        """Give the most likely number of items a register, the information about it, and how many were told apart."""
        _, resolution, window, _ = KINDS[self.kind]
        values = KINDS[self.kind].most(self.precision)
        tops, seen = np.zeros((2, values + 1), np.int64)
        self._read(tops, seen)
        # A register knows of every value from its largest minus the window upwards, whether it was seen.
        known = np.cumsum(tops)[np.minimum(np.arange(values + 1) + window, values)]
        return *most_likely(seen[1:], (known - seen)[1:], self.precision, resolution), float(seen.sum())

    def overlap(self, other: FlajoletMartin, confidence: float = 0.95) -> Overlap:
        """Estimate how many distinct items two streams have in common, and each alone.

        The numbers are those that together make what both sketches have seen most likely. Their errors are as small as
        those of inclusion and exclusion of three counts or smaller, up to three times where little is in common. Each
        has bounds that hold with probability `confidence`, at 0 too: ``lower`` is 0 where nothing else is sure.

        The error of an intersection is one of the union's scale: at the default precision, 100 items in common of
        20,000 have a standard error of 34, and 5,000 of 15,000 one of 33.

        Parameters
        ----------
        other
            A sketch of the same kind and hash. Of two precisions, the lower one is used for both.
        confidence
            Of the bounds.

        Raises
        ------
        TypeError, ValueError
            If `other` cannot be merged with this sketch, or the confidence is not in (0, 1).

        Examples
        --------
        Of 30,000 items, 10,000 are in both streams; the standard errors at precision 12 are about 100 items or fewer:

        >>> monday, tuesday = FlajoletMartin(), FlajoletMartin()
        >>> monday.update(range(20_000))
        >>> tuesday.update(range(10_000, 30_000))
        >>> both = monday.overlap(tuesday)
        >>> abs(both.intersection - 10_000) < 500, abs(both.only_self - 10_000) < 500
        (True, True)
        >>> both.jaccard.lower < both.jaccard < both.jaccard.upper
        True
        """
        confidence = bounds.check_fraction("confidence", confidence)
        if not isinstance(other, FlajoletMartin):
            raise TypeError(f"other is of type {type(other).__name__}; a FlajoletMartin is accepted")
        precision = min(self.precision, other.precision)
        first, second = (each.without_martingale().downsize(precision) for each in (self, other))
        union = first | second
        if not len(first.registers) and not len(second.registers):
            return overlap_of_tokens(first.tokens, second.tokens, confidence)
        kind = KINDS[self.kind]
        pairs, none = np.zeros((kind.most(precision) + 1, 3, 3), np.int64), np.zeros(kind.most(precision) + 1, np.int64)
        for each in (first, second):
            each._replay_tokens()
        first._read_pairs(second, pairs, none)
        pairs[1:, 0, 0] += np.cumsum(none)[:-1]
        rates = first._most_likely()[0], second._most_likely()[0], union._most_likely()[0]
        return overlap_of_registers(pairs[1:], rates, precision, kind.resolution, kind.window, confidence)

    def downsize(self, precision: int) -> Self:
        """Give the sketch of the same items at a lower precision, as if it had been made with that one.

        Parameters
        ----------
        precision
            At most the sketch's own: what its registers do not tell apart cannot be told later.

        Raises
        ------
        TypeError, ValueError
            If the precision is not accepted.

        Examples
        --------
        >>> large, small = FlajoletMartin(precision=12), FlajoletMartin(precision=8)
        >>> large.update(range(50_000))
        >>> small.update(range(50_000))
        >>> large.downsize(8) == small
        True
        """
        precision = bounds.check_integer("precision", precision, 4, 18)
        if precision > self.precision:
            raise ValueError(f"precision is {precision}; at most the sketch's own, {self.precision}, is accepted")
        if precision == self.precision:
            return self.copy()
        if self.martingale:
            raise ValueError("a martingale's estimate belongs to its own precision; take without_martingale() first")
        result = type(self).__new__(type(self))
        result._setup(self.kind_number, precision, np.empty(0, np.uint32))
        result._open(self.hasher)
        result._merge_parts((self,))
        if hasattr(self, "__dict__"):  # of a subclass of the user's
            result.__dict__.update(self.__dict__)
        return result

    def without_martingale(self) -> Self:
        """Give a copy that counts by the most likely number, as a sketch without martingale does, and merges."""
        with Held(self):
            state = self._state()._replace(registers=self.registers.copy(), changes=None)
            result = self._of_state(state, self._envelope(), self.hasher)
        if hasattr(self, "__dict__"):  # of a subclass of the user's
            result.__dict__.update(self.__dict__)
        return result

    def __or__(self, other: Self) -> Self:
        if not isinstance(other, FlajoletMartin):
            return NotImplemented
        result = self.downsize(min(self.precision, other.precision))
        result.merge(other)
        return result

    def _empty(self) -> Any:
        if self.martingale:
            raise ValueError("a martingale needs all items of its stream in order: threads must be 1")
        return super()._empty()

    def _check_parameters(self, theirs: dict[str, Any]) -> None:
        if self.martingale or theirs.pop("martingale", False):
            raise ValueError(
                "cannot merge: a martingale counts a single stream; merge without_martingale(), of both sketches"
            )
        super()._check_parameters({**theirs, "precision": self.precision})
        if theirs["precision"] < self.precision:
            raise ValueError(
                f"cannot merge: precision is {self.precision} here and {theirs['precision']} there; "
                f"downsize({theirs['precision']}) this one first, or use `|`, which gives the lower precision of both"
            )

    def _parameters(self) -> dict[str, Any]:
        parameters = {"precision": self.precision, "kind": self.kind}
        return {**parameters, "martingale": True} if self.martingale else parameters

    def _error(self) -> str:
        return f"standard error ≤ {self.relative_error:.2%}"

    def _state(self) -> State:
        changes = self._martingale if self.martingale else None
        return State(KINDS[self.kind], self.precision, self.tokens, self.registers, changes)

    def _fields(self) -> dict[str, Any]:
        return write_state(self._state())

    @classmethod
    def _from_fields(cls, fields: dict[str, Any], envelope: Envelope, hasher: Hasher) -> Self:
        state = read_state(fields, envelope.layout, envelope.total)
        sketch = cls._of_state(state._replace(changes=None), envelope, hasher)
        most = state.kind.most(state.precision)
        require(sketch._sound(most), f"a register has seen a value above {most}, or below 1")
        if state.changes is not None:
            distinct = sketch._most_likely()[2] if len(state.registers) else len(state.tokens)
            require(state.changes[0] >= distinct, f"{state.changes[0]} items of which {distinct} were told apart")
            require(distinct or state.changes == (0, 0), f"a martingale of {state.changes}, but no item was seen")
            sketch._start_martingale(*state.changes)
        return sketch

    @classmethod
    def _of_state(cls, state: State, envelope: Envelope, hasher: Hasher) -> Self:
        """Give a sketch that owns the state from now on."""
        kind, precision, tokens, registers, changes = state
        sketch = cls.__new__(cls)
        sketch._setup(kind.number, precision, tokens, registers if len(registers) else None)
        sketch._open(hasher, envelope.total, envelope.weight, envelope.nulls)
        if changes is not None:
            sketch._start_martingale(*changes)
        return sketch

    def _copy(self) -> Self:
        state = self._state()
        return self._of_state(state._replace(registers=state.registers.copy()), self._envelope(), self.hasher)


def _check_kind(kind: str) -> Kind:
    if not isinstance(kind, str):
        raise TypeError(f"kind is {kind!r}; one of {', '.join(KINDS)} is accepted")
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; one of {', '.join(KINDS)} is accepted")
    return KINDS[kind]
