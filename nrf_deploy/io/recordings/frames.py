"""Dense frames (steps, *shape), as numpy saves them."""

from __future__ import annotations

import numpy as np

from nrf_deploy.ir.network import Array
from nrf_deploy.ir.recording import Recording

from ..archive import DamagedError
from .limits import demand_elements, demand_events, demand_steps


def decode(frames: Array, dt: float | None, stored: int) -> Recording:
    """Convert frames: integers stay integers, floats become float32 if none vanishes or overflows.

    `stored` is the size of the file in bytes, which bounds the number of values above 0.
    """
    if frames.ndim < 2 or not frames[:1].size:
        raise DamagedError(f"holds frames of shape {frames.shape}, not (steps, *shape)")
    demand_steps(len(frames))
    demand_elements(frames.shape[1:])
    demand_events(int(np.count_nonzero(frames)), stored)
    if frames.dtype.kind == "f":
        if strange := int(np.count_nonzero(~np.isfinite(frames))):
            raise DamagedError(f"holds {strange:,} values that are NaN or infinite")
        with np.errstate(over="ignore", under="ignore"):
            narrow = frames.astype(np.float32)
        lost = ~np.isfinite(narrow) | ((narrow == 0) & (frames != 0))
        if count := int(np.count_nonzero(lost)):
            raise DamagedError(f"holds {count:,} values that float32 cannot hold")
        frames = narrow
    elif frames.dtype == np.uint64 and frames.max(initial=0) > np.iinfo(np.int64).max:
        raise DamagedError("holds integers beyond 64 bits with sign")
    return Recording.from_dense(frames, dt)
