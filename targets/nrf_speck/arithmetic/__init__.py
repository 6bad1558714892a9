"""The integer arithmetic of Speck, in text and in kernels."""
