"""The configuration of a chip: construction, checks and word stream."""
