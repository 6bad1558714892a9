"""Quantization from floats to integers: grids, gains, and schemes."""
