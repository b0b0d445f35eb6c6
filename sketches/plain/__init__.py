"""Each sketch again in a few dozen plain lines: the lesson, and the oracle of the tests.

Nothing here is fast and nothing is checked; the states are equal, bit for bit, to those of the compiled sketches.
"""

from sketches.plain.ams import AMS
from sketches.plain.binary_fuse import BinaryFuseFilter
from sketches.plain.bloom import BloomFilter
from sketches.plain.count_min import CountMin
from sketches.plain.decayed import Decayed
from sketches.plain.entropy import Entropy
from sketches.plain.flajolet_martin import FlajoletMartin
from sketches.plain.hashed_weights import HashedWeights
from sketches.plain.lossy_counting import LossyCounting
from sketches.plain.quantiles import Quantiles
from sketches.plain.sliding_window import SlidingWindow
from sketches.plain.space_saving import SpaceSaving
from sketches.plain.subset_sum import SubsetSum
from sketches.plain.tug_of_war import TugOfWar

__all__ = [
    "AMS",
    "BinaryFuseFilter",
    "BloomFilter",
    "CountMin",
    "Decayed",
    "Entropy",
    "FlajoletMartin",
    "HashedWeights",
    "LossyCounting",
    "Quantiles",
    "SlidingWindow",
    "SpaceSaving",
    "SubsetSum",
    "TugOfWar",
]
