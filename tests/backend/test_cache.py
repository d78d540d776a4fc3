"""Code that is compiled and code that comes from Numba's cache give the same bits."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import zlib
import numpy as np
from tinyproto.data.augment import elastic
images = np.random.default_rng(0).random((20, 28, 28), np.float32)
print(zlib.crc32(elastic(images, seed=0, epoch=0).tobytes()))
"""


@pytest.mark.slow
def test_bent_images_do_not_depend_on_the_cache(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    seen = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert seen[0] == seen[1]
