"""Models made in six frameworks, and what those frameworks' own spikes say of our readings."""
