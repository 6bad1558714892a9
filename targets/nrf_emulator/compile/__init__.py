"""From a network to a program of the described machine."""
