"""The report as one HTML page, that opens from a mail attachment."""

from .document import page

__all__ = ["page"]
