"""Experiments with the covariant trackers: sweeps, cards and figures. Not installed."""
