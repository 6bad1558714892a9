"""The float semantics of a Network: what was trained, without the framework it was trained in."""

from .neurons import Decay
from .run import run

__all__ = ["Decay", "run"]
