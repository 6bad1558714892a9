"""Rewrites of a Network: one a file, each exact, with its algebra in its docstring."""

from .avgpool_to_sumpool import AvgPoolToSumPool
from .base import Done, Left, LocalPass, Pass, Step, apply_all, parse, register
from .drop_last_delay import DropLastDelay
from .flatten_into_linear import FlattenIntoLinear
from .fold_affine_conv import FoldAffineConv
from .fold_pool import FoldPool
from .fold_scale import FoldScale
from .max_pool_as_or import MaxPoolAsOr
from .merge_linear import MergeLinear
from .scale_to_weights import ScaleToWeights
from .shift_reset import ShiftReset
from .threshold_as_lif import ThresholdAsLif

EXACT: tuple[Pass, ...] = (
    AvgPoolToSumPool(),
    FlattenIntoLinear(),
    FoldScale(),
    ScaleToWeights(),
    FoldAffineConv(),
    FoldPool(),
    MergeLinear(),
)
"""The rewrites that every target starts from; `apply_all` runs them until nothing changes.

After them there is at most one Linear, Conv or SumPool between two populations (or an input
and a population), with a Flatten beside it where the shape changes. The findings of the last
steps report every node that could not be brought into this form.
"""

__all__ = [
    "EXACT",
    "AvgPoolToSumPool",
    "Done",
    "DropLastDelay",
    "FlattenIntoLinear",
    "FoldAffineConv",
    "FoldPool",
    "FoldScale",
    "Left",
    "LocalPass",
    "MaxPoolAsOr",
    "MergeLinear",
    "Pass",
    "ScaleToWeights",
    "ShiftReset",
    "Step",
    "ThresholdAsLif",
    "apply_all",
    "parse",
    "register",
]
