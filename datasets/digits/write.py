"""Writes digits.bin.gz: the 1,797 handwritten digits that scikit-learn ships, in their original order.

    python3 -m pip install scikit-learn && python3 datasets/digits/write.py

Each record is 65 bytes: the label (0 to 9), then 64 grey levels (0 to 16), row by row.
Source: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits" (UCI, 1998), test part; CC BY 4.0.
"""

import gzip
import pathlib

import numpy as np
from sklearn.datasets import load_digits

digits = load_digits()
assert digits.data.shape == (1797, 64) and digits.data.min() == 0 and digits.data.max() == 16
records = np.concatenate([digits.target[:, None], digits.data], axis=1).astype(np.uint8)
target = pathlib.Path(__file__).with_name("digits.bin.gz")
target.write_bytes(gzip.compress(records.tobytes(), compresslevel=9, mtime=0))
print(f"{target}: {target.stat().st_size} bytes")
