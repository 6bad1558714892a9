"""How fast the emulator is: cases by name, peers on the same inputs, ratios with their spread."""
