"""One verb a module: call the Python function of the same name, and print what it says."""
