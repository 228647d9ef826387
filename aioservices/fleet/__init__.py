"""Many services at once."""
