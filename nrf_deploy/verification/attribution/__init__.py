"""The causes of errors, layer by layer."""
