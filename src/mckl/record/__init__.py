"""Writes and reads results, and records what they were made from."""
