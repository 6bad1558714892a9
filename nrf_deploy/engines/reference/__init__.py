"""The float reference: the semantics of a trained Network, without its training framework."""

from .neurons import Decay
from .run import run

__all__ = ["Decay", "run"]
