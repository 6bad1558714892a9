"""The integer arithmetic of Speck: normative rules and compiled kernels."""
