"""From floats to integers: grids, gains, and schemes."""
