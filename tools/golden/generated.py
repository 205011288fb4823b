"""Weights and inputs by formula, the same that tests/unit/model/generated.h computes."""
import math

import numpy as np


def generate(key, count, low, high):
    """Float64 values in [low, high) that are exact in float32: SplitMix64 of FNV-1a(key) and the index."""
    state = 0xCBF29CE484222325
    for byte in key.encode():
        state = ((state ^ byte) * 0x100000001B3) % 2**64
    z = np.uint64(state) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    uniform = (z >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return (low + (high - low) * uniform).astype(np.float32).astype(np.float64)


def weight_range(name, shape):
    if name.endswith("running_var"):
        return 0.5, 1.5
    if len(shape) == 1 and name.endswith(("weight", "gamma")):
        return (0.7, 1.3) if name.startswith("_") else (0.4, 0.9)  # evaluation mode: ResNet's sums must not grow, Lite's chain not fade
    if len(shape) == 1:
        return -0.2, 0.2
    bound = math.sqrt((6.0 if len(shape) == 4 else 3.0) / math.prod(shape[1:]))
    return -bound, bound
