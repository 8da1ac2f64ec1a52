"""The study: its config, its settings, and the tables that the workflow computes from them."""
