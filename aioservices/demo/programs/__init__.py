"""The programs that the demo runs as services, each a separate short script."""
