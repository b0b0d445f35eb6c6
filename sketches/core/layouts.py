"""What every class writes: the table of all layouts, from which reading, writing and docs/format.md follow."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from sketches._ext.wire import Body

__all__ = ["LAYOUTS", "NEWEST", "NUMBERED", "Field", "Layout"]


class Field(NamedTuple):
    """One value of a layout: a scalar, or an array if the type ends with ``[]``; every value lies in [low, high].

    Types: u8, u32, u64, i64, f64 and, in arrays only, f32.
    """

    name: str
    type: str
    meaning: str
    low: int | float | None = None
    high: int | float | None = None


@dataclass(frozen=True)
class Layout:
    """What a class writes: the layout's number, the class's name and, in order, the fields."""

    id: int
    name: str
    fields: tuple[Field, ...]

    @cached_property
    def body(self) -> Body:
        """The fields' compiled writer and reader."""
        return Body(self.fields)


PANES = (
    Field("newest", "i64[]", "the newest pane; none before the first item", -(2**53), 2**53),
    Field("numbers", "i64[]", "the panes that hold items, ascending; the others are left out"),
    Field("sketch", "u8[]", "a sketch without items; hash, total, weight and nulls above are its own"),
    Field("sizes", "u64[]", "bytes of each pane's sketch"),
    Field("sketches", "u8[]", "the panes' sketches, each as it is written alone"),
)

ITEMS = (
    "the items, each a u64 of kind + 256 × size and then: 0 null, nothing; 1 integer, size 8, an i64; 2 larger integer,"
    " size bytes of two's complement, whole words; 3 float, size 8, an f64; 4 text, size bytes of UTF-8; 5 bytes, size"
    " bytes; 6 tuple, size items; 7 + u instant, size 8, an i64 since 1970 in s, ms, us, ns, ps, fs or as (u = 0 … 6)"
)

ENTRIES = (
    Field("counts", "i64[]", "upper bounds, by ascending hash of the items", 1),
    Field("errors", "i64[]", "how far each may be off", 0),
    Field("items", "u8[]", ITEMS),
)

COUNTERS = (
    Field("counter_bytes", "u8", "b: 1, 2, 4 or 8, at which all counters take the least room; the least such b", 1, 8),
    Field("cells", "u8[]", "depth × width counters of b bytes, two's complement, row by row; 0 where one does not fit"),
    Field("places", "i64[]", "where in `cells` those are that do not fit, ascending", 0),
    Field("values", "i64[]", "the counters that do not fit, in the same order"),
)

# A layout keeps its number and its fields for ever; a change is a new layout, after the class's older ones. A class
# writes its last and reads all: `Envelope.layout` tells `_from_fields` which one the fields are of.
LAYOUTS: tuple[Layout, ...] = (
    Layout(
        1,
        "FlajoletMartin",
        (
            Field("kind", "u8", "0: pcsa, 1: hll, 2: ull, 3: ell", 0, 3),
            Field("precision", "u8", "log2 of the number of registers", 4, 18),
            Field(
                "tokens", "u32[]", "26 low bits of the hash × 64 + its leading zeros, ascending; none beside registers"
            ),
            Field("registers", "u8[]", "registers of 8 bytes (pcsa), 1 byte (hll, ull) or 4 bytes (ell); may be none"),
        ),
    ),
    Layout(
        10,
        "FlajoletMartin",
        (
            Field("kind", "u8", "0: pcsa, 1: hll, 2: ull, 3: ell; 4 to 7: the same with a martingale", 0, 7),
            Field("precision", "u8", "log2 of the number of registers", 4, 18),
            Field("tokens", "u32", "how many, 0 beside registers"),
            Field(
                "state",
                "u8[]",
                "of a martingale, its estimate and variance, each an f64; then the code of tokens; nothing; the code of"
                " registers, where it has at least 1/32 of their bytes; or these",
            ),
        ),
    ),
    Layout(
        2,
        "BloomFilter",
        (
            Field("layout", "u8", "0: block, 1: classic", 0, 1),
            Field("capacity", "u64", "items at which the error was promised", 1, 2**40),
            Field("error", "f64", "the promised false-positive rate", 1e-12, 1 - 2**-53),
            Field("probes", "u8", "bits an item sets; in blocks 8, or 14: 7 in a block of each half of them", 1, 64),
            Field("words", "u64[]", "the bits, lowest first; eight words a block"),
        ),
    ),
    Layout(
        3,
        "CountMin",
        (
            Field("conservative", "u8", "1: conservative update", 0, 1),
            Field("depth", "u8", "rows", 1, 16),
            Field("width", "u64", "counters a row", 1, 2**40),
            Field("counters", "i64[]", "depth × width counters, row by row"),
        ),
    ),
    Layout(
        4,
        "AMS",
        (
            Field("depth", "u8", "rows, an odd number", 1, 15),
            Field("width", "u64", "counters a row", 1, 2**32),
            Field("counters", "i64[]", "depth × width counters, row by row"),
        ),
    ),
    Layout(
        23,
        "CountMin",
        (
            Field("conservative", "u8", "1: conservative update", 0, 1),
            Field("depth", "u8", "rows", 1, 16),
            Field("width", "u64", "counters a row", 1, 2**40),
            *COUNTERS,
        ),
    ),
    Layout(
        24,
        "AMS",
        (
            Field("depth", "u8", "rows, an odd number", 1, 15),
            Field("width", "u64", "counters a row", 1, 2**32),
            *COUNTERS,
        ),
    ),
    Layout(
        5,
        "SpaceSaving",
        (
            Field("k", "u64", "the most entries", 1, 2**31),
            Field("max_error", "i64", "the most that an item without an entry may have occurred", 0),
            *ENTRIES,
        ),
    ),
    Layout(
        40,
        "SpaceSaving",
        (
            Field("k", "u64", "the most entries; of a sketch that takes negative counts", 1, 2**31),
            Field("max_error", "i64", "the most that an item without an entry may have occurred", 0),
            *ENTRIES,
        ),
    ),
    Layout(
        41,
        "SubsetSum",
        (
            Field("k", "u64", "the most entries", 2, 2**31),
            Field("threshold", "i64", "the largest count below which counters were sampled; 0: none was", 0),
            Field("counts", "i64[]", "unbiased, by ascending hash of the items; their sum is the total", 1),
            Field("errors", "i64[]", "how much of each was gained in samples", 0),
            Field("variances", "f64[]", "an unbiased estimate of each count's variance", -(2.0**126), 2.0**126),
            Field("items", "u8[]", ITEMS),
        ),
    ),
    Layout(
        6,
        "LossyCounting",
        (
            Field("width", "u64", "w = ceil(1 / epsilon); the maximum error is floor(weight / w)", 2, 2**40),
            *ENTRIES,
        ),
    ),
    Layout(
        7,
        "Quantiles",
        (
            Field(
                "mantissa_bits", "u8", "a number's key: its float64 bits without sign >> (52 - mantissa_bits)", 0, 16
            ),
            Field("minimum", "f64", "the least number, not NaN, never -0.0; inf if none"),
            Field("maximum", "f64", "the largest number, not NaN, never -0.0; -inf if none"),
            Field("nans", "i64", "NaN", 0),
            Field("negative_infinities", "i64", "-inf", 0),
            Field("zeros", "i64", "0.0 and -0.0", 0),
            Field("positive_infinities", "i64", "inf", 0),
            Field("negative_low", "u32", "the first key of `negatives`, 0 if there are none"),
            Field("negatives", "i64[]", "counts of negative numbers by key; first and last are not 0", 0),
            Field("positive_low", "u32", "the first key of `positives`, 0 if there are none"),
            Field("positives", "i64[]", "counts of positive numbers by key; first and last are not 0", 0),
        ),
    ),
    Layout(
        50,
        "BinaryFuseFilter",
        (
            Field("bits", "u8", "of a fingerprint: 8 or 16", 8, 16),
            Field("attempt", "u8", "which of the scramblings was used", 0, 63),
            Field("log_length", "u8", "log2 of a segment's slots", 0, 18),
            Field("fingerprints", "u8[]", "bits / 8 bytes a slot; none, or three segments or more"),
        ),
    ),
    Layout(
        9,
        "HashedWeights",
        (
            Field("shape", "u64[]", "the lengths of 1 to 8 dimensions, of at most 2**62 weights", 1, 2**40),
            Field(
                "values", "f32[]", "at least one; weight i is values[h * size >> 64], negative if h, i's hash, is odd"
            ),
        ),
    ),
    Layout(
        60,
        "BloomierWeights",
        (
            Field("shape", "u64[]", "the lengths of up to 8 dimensions; total is the number of weights that are kept"),
            Field("codebook", "f32[]", "the values that are shared, 1 to 2**cell_bits"),
            Field("cell_bits", "u8", "t, of a cell", 1, 16),
            Field("attempt", "u8", "which of the scramblings was used", 0, 255),
            Field("log_length", "u8", "log2 of a segment's cells", 0, 18),
            Field("segments", "u32", "0, or three or more"),
            Field("cells", "u8[]", "segments << log_length cells of t bits, the lowest bit first; then bits of 0"),
        ),
    ),
    Layout(
        20,
        "Entropy",
        (
            Field(
                "sums",
                "u64[]",
                "k sums of counts times random numbers, in units of 2**-16: 128 bits each, the low word first",
            ),
        ),
    ),
    Layout(
        32,
        "SlidingWindow",
        (
            Field("pane", "f64", "the length of a pane; pane i is i × pane ≤ time < (i + 1) × pane", 5e-324, 2.0**53),
            Field("panes", "u32", "the panes of the window; one more is kept", 1, 2**20),
            *PANES,
        ),
    ),
    Layout(
        33,
        "Decayed",
        (
            Field("half_life", "f64", "the time in which weights halve; a pane is 16 of them", 2.0**-1000, 2.0**49),
            Field("latest", "i64", "the latest time in half-lives / 4096, rounded up; 0 before the first item"),
            Field(
                "forgotten", "u64", "the weight dropped so far, in 2**-13 at the start of the newest pane", 0, 2**63 - 1
            ),
            *PANES,
        ),
    ),
    Layout(
        8,
        "StreamingStatistics",
        (
            Field("top", "u32", "counters for the most active units of a layer", 1, 2**20),
            Field("epsilon", "f64", "the share of firings up to which a unit is rare, below 1", 2.0**-32, 1),
            Field("name_sizes", "u64[]", "bytes of each layer's name"),
            Field("names", "u8[]", "the names in UTF-8, one after the other; lone surrogates as three bytes"),
            Field("units", "u64[]", "units of each layer", 1, 2**40),
            Field("samples", "i64[]", "samples of each layer; times its units below 2**63", 0),
            Field("counts", "i64[]", "of each layer 5 × units: finite, NaN, infinite, zero, above zero", 0),
            Field("moments", "f64[]", "of each layer 4 × units: mean, squared deviations from it, minimum, maximum"),
            Field("sketch_sizes", "u64[]", "bytes of each layer's sketches"),
            Field("sketches", "u8[]", "of each layer Quantiles, SpaceSaving, LossyCounting, FlajoletMartin, AMS"),
        ),
    ),
    Layout(
        51,
        "StreamingStatistics",
        (
            Field("epsilon", "f64", "the share of firings up to which a unit is rare, below 1", 2.0**-32, 1),
            Field("directions", "u32", "ℓ of Frequent Directions", 1, 2**12),
            Field("name_sizes", "u64[]", "bytes of each layer's name"),
            Field("names", "u8[]", "the names in UTF-8, one after the other; lone surrogates as three bytes"),
            Field("units", "u64[]", "units of each layer", 1, 2**40),
            Field("samples", "i64[]", "samples of each layer; times its units below 2**63", 0),
            Field("limits", "f64[]", "of each layer two, low < high; -inf and inf if it has none"),
            Field("counts", "i64[]", "of each layer 6 × units: finite, NaN, infinite, zero, above zero, beyond", 0),
            Field("moments", "f64[]", "of each layer 4 × units: mean, squared deviations from it, minimum, maximum"),
            Field("sketch_sizes", "u64[]", "bytes of each layer's sketches"),
            Field("sketches", "u8[]", "of each layer Quantiles, FlajoletMartin"),
            Field("rows", "i64[]", "rows that each layer's directions have seen", 0),
            Field("means", "f64[]", "of each layer units: the mean of these rows"),
            Field("energies", "f64[]", "of each layer two: the rows' squared deviations from it, and what was lowered"),
            Field("filled", "u32[]", "directions of each layer, at most 2ℓ", 0, 2**13),
            Field("axes", "f32[]", "of each layer directions × units"),
        ),
    ),
)
NUMBERED = {layout.id: layout for layout in LAYOUTS}
NEWEST = {layout.name: layout for layout in LAYOUTS}  # each class's last
