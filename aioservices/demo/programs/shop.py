"""A web shop: answers visits, and writes a line for each."""

import http.server
import json
import signal
import time
from types import FrameType

STOCK = {"apples": 2.10, "bread": 3.40, "cheese": 5.90, "dates": 4.75}


class Shop(http.server.BaseHTTPRequestHandler):
    """One visit."""

    def do_GET(self) -> None:
        """Answer with the price of the item in the path."""
        begun = time.perf_counter()
        item = self.path.strip("/")
        if not item:
            status, answer = 200, json.dumps(sorted(STOCK))
        elif item in STOCK:
            status, answer = 200, json.dumps({item: STOCK[item]})
        else:
            status, answer = 404, json.dumps({"error": f"no {item} in this shop"})
        body = answer.encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        took = (time.perf_counter() - begun) * 1000
        print(f"GET {self.path} {status} in {took:.1f} ms")


class Closing:
    """Whether the platform has asked the service to stop; a visit is answered to its end."""

    is_asked = False

    def ask(self, signum: int, frame: FrameType | None) -> None:
        """Note the signal of the platform."""
        self.is_asked = True


if __name__ == "__main__":
    closing = Closing()
    signal.signal(signal.SIGTERM, closing.ask)
    with http.server.HTTPServer(("127.0.0.1", 0), Shop) as server:
        print(f"open at http://127.0.0.1:{server.server_port}")
        server.timeout = 0.1
        while not closing.is_asked:
            server.handle_request()
    print("closing: another deployment takes over, or the day is done")
