"""From a program to the cores of Loihi."""
