"""The compiler: passes, checks, quantization, lowering, placement."""
