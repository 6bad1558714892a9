"""Generators of the conformance kits; `python -m tools.kits.models FOLDER`."""
