"""Lava: the engine, and programs that need Lava alone."""
