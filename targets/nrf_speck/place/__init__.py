"""From a program to the cores of Speck."""
