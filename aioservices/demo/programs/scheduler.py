"""A scheduler: starts a job at every tick until it is stopped."""

import itertools
import random
import time

JOBS = ("send reminders", "rotate keys", "refresh cache", "sweep uploads")

if __name__ == "__main__":
    for tick, job in enumerate(itertools.cycle(JOBS), start=1):
        print(f"tick {tick}: {job}")
        time.sleep(random.uniform(0.6, 0.9))
