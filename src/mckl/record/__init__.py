"""How results are written, read and traced back to what made them."""
