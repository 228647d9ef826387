"""A mailer: sends mail in bursts, and complains on standard error when a server is slow."""

import itertools
import random
import sys
import time

if __name__ == "__main__":
    for burst in itertools.count(1):
        time.sleep(random.uniform(0.9, 1.5))
        for _ in range(random.randint(1, 3)):
            print("mail sent")  # the same line, often more than once within a millisecond
        if burst % 3 == 0:
            print(f"mail.example is slow: {random.randint(900, 1900)} ms", file=sys.stderr)
