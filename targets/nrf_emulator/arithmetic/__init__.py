"""The arithmetic "fixed", in text and in kernels."""
