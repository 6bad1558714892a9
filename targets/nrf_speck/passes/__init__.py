"""Rewrites of a network for Speck, one a file."""
