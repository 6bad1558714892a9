"""One table of every engine of several bundles."""
