"""A compressed network of every coding stays readable, and is written as it was."""

import numpy as np
from golden.golden import NETWORK, golden_tensors, write_network

from sketches.nn import BloomierWeights, CompressedFile, SharedWeights
from sketches.nn.compression.coding import as_stored
from sketches.nn.compression.directory import CODINGS


def test_what_was_written_is_read():
    expected = golden_tensors()
    with CompressedFile(NETWORK) as file:
        assert list(file.entries) == list(expected)
        assert {entry.coding for entry in file.entries.values()} == set(CODINGS)
        assert file.metadata == {"format": "golden", "ключ": "値"}
        for name, (dtype, weights, options) in expected.items():
            assert file.entries[name].dtype == dtype
            found = file.weights(name)
            if isinstance(weights, SharedWeights):
                assert (found.indices == weights.indices).all()
                assert found.codebook.tobytes() == weights.codebook.tobytes()
            elif isinstance(weights, BloomierWeights):
                assert found.to_bytes() == weights.to_bytes()
            else:
                assert found.tobytes() == weights.tobytes()
            assert file.entries[name].shape == options.get("shape", as_stored(weights, dtype).shape)
            assert file.stored(name).tobytes() == as_stored(weights, dtype).tobytes()


def test_bytes_are_frozen(tmp_path):
    """All but what zlib makes, of which there are several."""
    write_network(tmp_path / "network.skn")
    frozen, built = NETWORK.read_bytes(), (tmp_path / "network.skn").read_bytes()
    with CompressedFile(NETWORK) as old, CompressedFile(tmp_path / "network.skn") as new:
        for name, entry in old.entries.items():
            other = new.entries[name]
            assert (other.coding, other.rows, other.columns) == (entry.coding, entry.rows, entry.columns)
            if entry.coding not in ("deflate", "shuffle"):
                code, again = (data[x.start : x.start + x.length] for data, x in ((frozen, entry), (built, other)))
                assert code == again, name
        assert old.entries["arithmetic"].rows == old.entries["after"].columns is not None
        assert np.count_nonzero(~old.entries["arithmetic"].rows.live()) == 13
