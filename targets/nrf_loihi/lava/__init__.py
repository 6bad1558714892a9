"""The engine "lava", and the export of programs as Lava scripts."""
