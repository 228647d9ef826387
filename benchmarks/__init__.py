"""The speed of aioservices, compared with the official client and hand-written loops."""
