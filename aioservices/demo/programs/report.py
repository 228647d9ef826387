"""A report with a fault in it: works for a while, then crashes with a traceback."""

import time

ORDERS: list[dict[str, float]] = [
    {"price": 4.20, "pieces": 3},
    {"price": 1.75, "pieces": 12},
    {"price": 9.90, "pieces": 0},
]


def average_price(order: dict[str, float]) -> float:
    """Compute the price of one piece."""
    return order["price"] / order["pieces"]


if __name__ == "__main__":
    print(f"computing averages of {len(ORDERS)} orders")
    for number, order in enumerate(ORDERS, start=1):
        time.sleep(1.2)
        print(f"order {number}: {average_price(order):.2f} a piece")
