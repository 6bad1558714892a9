"""Frameworks whose modules can be exported, one file each."""

from .base import Call, Framework, Piece
from .registry import framework_of, present

__all__ = ["Call", "Framework", "Piece", "framework_of", "present"]
