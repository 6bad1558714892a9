"""The command line: one module a command, its arguments and its action."""
