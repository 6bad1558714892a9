"""Rewrites of a network for Speck, one per file."""
