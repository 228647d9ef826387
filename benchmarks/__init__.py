"""Speed of aioservices beside the official client and hand-written loops."""
