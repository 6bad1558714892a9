"""The integer arithmetic of Loihi, in text and in kernels."""
