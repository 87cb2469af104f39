"""The safetensors library's view of our files, and its files for us.

    safetensors_check.py IN.safetensors OUT.safetensors

Prints one line per tensor of IN (name, dtype, shape, sum as float64) and writes the same tensors,
plus some in other formats, to OUT.
"""
import sys

import numpy as np
from safetensors.numpy import load_file, save_file

tensors = load_file(sys.argv[1])
for name in sorted(tensors):
    t = tensors[name]
    print(name, t.dtype, "x".join(map(str, t.shape)), repr(float(t.astype(np.float64).sum())))
tensors["extra.half"] = np.array([1.5, -2.0, 65504.0, 6e-8], np.float16)
tensors["extra.double"] = np.array([[0.1], [1e10]])
tensors["extra.count"] = np.array(7, np.int64)
tensors["extra.flags"] = np.array([True, False])
save_file(tensors, sys.argv[2], metadata={"format": "np"})
