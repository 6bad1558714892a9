"""The integer arithmetic of Loihi: normative rules and compiled kernels."""
