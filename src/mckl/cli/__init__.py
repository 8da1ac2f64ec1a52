"""The command `mckl`."""
