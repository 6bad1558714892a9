"""Which piece of which layer sits on which core, with every budget used and left."""
