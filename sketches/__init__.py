"""Streaming sketches: each answers one question about a stream in one pass, in little memory, with a stated error."""

from sketches._ext.hashing import Hasher
from sketches.ams import AMS
from sketches.binary_fuse import BinaryFuseFilter
from sketches.bloom import BloomFilter
from sketches.core.contract import Sketch, from_bytes, load
from sketches.core.estimate import Estimate
from sketches.core.wire import FormatError
from sketches.count_min import CountMin
from sketches.decayed import Decayed
from sketches.entropy import Entropy
from sketches.flajolet_martin import FlajoletMartin
from sketches.lossy_counting import LossyCounting
from sketches.quantiles import Quantiles
from sketches.sliding_window import SlidingWindow
from sketches.space_saving import SpaceSaving
from sketches.subset_sum import SubsetSum

__all__ = [
    "AMS",
    "BinaryFuseFilter",
    "BloomFilter",
    "CountMin",
    "Decayed",
    "Entropy",
    "Estimate",
    "FlajoletMartin",
    "FormatError",
    "Hasher",
    "LossyCounting",
    "Quantiles",
    "Sketch",
    "SlidingWindow",
    "SpaceSaving",
    "SubsetSum",
    "from_bytes",
    "load",
]

__version__ = "0.1.0"
