"""A batch job: imports rows, reports its progress, and ends."""

import random
import time

ROWS = 12_000
BATCH = 1_000

if __name__ == "__main__":
    started = time.monotonic()
    print(f"importing {ROWS:,} rows")
    for done in range(BATCH, ROWS + 1, BATCH):
        time.sleep(random.uniform(0.3, 0.5))
        print(f"{done:>6,} of {ROWS:,} rows ({done * 100 // ROWS} %)")
    print(f"imported {ROWS:,} rows in {time.monotonic() - started:.1f} s")
