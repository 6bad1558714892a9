"""Verbs, one a module: each calls the Python function of its name and prints the result."""
