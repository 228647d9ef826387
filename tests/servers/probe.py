"""What a program finds when it starts: ``python -m tests.servers.probe`` prints it as JSON."""

import json
import os
import signal
import sys
import time
import warnings

if __name__ == "__main__":
    streams = (sys.stdin, sys.stdout, sys.stderr)
    found = {
        "arguments": sys.argv[1:],
        "environment": dict(os.environ),
        "folder": os.getcwd(),  # noqa: PTH109
        "time zone": time.tzname,
        "streams": [
            (each.fileno(), each.isatty(), each.encoding, each.errors, each.line_buffering)
            for each in streams
        ],
        "input": "" if sys.stdin.isatty() else sys.stdin.read(),
        "signals": [str(signal.getsignal(each)) for each in signal.Signals],
        "leads its session": os.getsid(0) == os.getpid(),
        "has its terminal": sys.stdin.isatty() and os.tcgetpgrp(0) == os.getpgrp(),
        "warnings": [each[0] for each in warnings.filters if each[2] is Warning][:1],
    }
    print(json.dumps(found))
    sys.exit(int(sys.argv[1]))
