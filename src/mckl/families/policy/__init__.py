"""Policies: Markov chains over tokens."""
