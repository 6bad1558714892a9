"""The replay of a witness: whether a model as read gives what its framework gave."""
