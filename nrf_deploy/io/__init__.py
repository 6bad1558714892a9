"""Files: NIR graphs, recordings, archives, and readers with limits."""
