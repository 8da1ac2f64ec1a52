"""Laws of one coordinate, and pairs of vectors with independent coordinates."""
