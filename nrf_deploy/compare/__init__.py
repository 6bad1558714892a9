"""The comparison of two runs, layer by layer."""
