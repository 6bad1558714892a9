"""Speed of the emulator: named cases, peers on the same inputs, ratios with their spread."""
