"""Covariant spatio-temporal receptive fields and the spiking models built from them.

After Pedersen, Conradt and Lindeberg, "Covariant spatio-temporal receptive fields for
spiking neural networks", Nature Communications 16, 8231 (2025).
"""
