"""The bundle: one file that holds a compiled model."""
