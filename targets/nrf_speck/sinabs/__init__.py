"""Client of sinabs: the engine and its configuration of the chip."""
