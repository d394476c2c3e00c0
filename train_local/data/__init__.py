"""Competition data to what training reads."""
