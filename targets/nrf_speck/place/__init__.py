"""Placement of a program on the cores of Speck."""
