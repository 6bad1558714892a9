"""The arithmetic "fixed": normative rules and compiled kernels."""
