"""The task of a model: labels, readout, and both runs' errors in it."""
