"""The configuration of a chip: made, checked, and as a word stream."""
