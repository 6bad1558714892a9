"""The report as one HTML page, that opens from a mail attachment."""

from .document import report_html

__all__ = ["report_html"]
