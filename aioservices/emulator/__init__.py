"""An emulator of the API, on loopback."""
