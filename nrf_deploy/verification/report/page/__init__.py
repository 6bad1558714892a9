"""The report as one HTML page, which can be opened from a mail attachment."""

from .document import report_html

__all__ = ["report_html"]
