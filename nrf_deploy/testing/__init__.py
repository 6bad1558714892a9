"""Conformance kits, the pytest plug-in, and benchmarks."""
