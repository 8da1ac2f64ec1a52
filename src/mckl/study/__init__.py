"""The config, its settings, and the tables that the workflow makes of them."""
