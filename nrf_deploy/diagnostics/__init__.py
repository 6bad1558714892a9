"""Findings, progress, and the text that shows both."""
