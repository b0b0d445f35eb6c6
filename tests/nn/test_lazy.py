"""What `sketches.nn` says where PyTorch is missing."""

import subprocess
import sys

BLOCKED = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, Missing())
import sketches.nn
assert "watch" in dir(sketches.nn) and "StreamingStatistics" in dir(sketches.nn)
try:
    from sketches.nn import watch
except ModuleNotFoundError as error:
    print(error)
"""


def test_a_missing_torch_is_named_with_the_remedy():
    done = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, check=True)
    assert done.stdout == "sketches.nn.watch needs PyTorch: pip install 'stream-sketches[torch]'\n"
