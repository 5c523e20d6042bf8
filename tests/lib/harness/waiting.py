"""Waiting for a condition: polled against a deadline, never a blind sleep."""

import time


class TimedOut(AssertionError):
    """A condition did not come true in time."""


def wait_until(condition, what, timeout_s=15.0, interval_s=0.02):
    """Polls condition() until it gives something true, and returns that; raises TimedOut naming `what`."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise TimedOut(f"waited {timeout_s:g} s for {what}")
        time.sleep(interval_s)
