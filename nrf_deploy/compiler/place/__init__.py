"""Placement of pieces of layers on cores, with every budget used and left."""
