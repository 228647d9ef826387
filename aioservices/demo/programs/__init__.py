"""The programs that the demo runs as services, each a short script of its own."""
