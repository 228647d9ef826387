"""What programs write to a terminal or a pipe."""
