"""Tests of the regression check, over made-up results."""

import unittest
from collections import namedtuple

from comparison.bounds import check

Metric = namedtuple("Metric", "key title higher")
Workload = namedtuple("Workload", "name metrics")
COST = Metric("cost", "cost", higher=False)
SPEED = Metric("speed", "speed", higher=True)
LOAD = Workload("load", (COST, SPEED))


def outcome(rule, ours, theirs=(), metric=COST):
    """Gives: how the one line begins, and whether the check failed."""
    results = {"load": {"odradek": [{metric.key: value} for value in ours]}}
    results["load"]["kafka"] = [{metric.key: value} for value in theirs]
    lines, has_failed = check({"load": {metric.key: rule}}, [LOAD], results)
    return lines[0].split()[0], has_failed


class Check(unittest.TestCase):
    def test_a_cost_within_its_bound_is_ok(self):
        self.assertEqual(outcome({"to": "kafka", "bound": 0.5}, [4, 5, 6], [10, 10, 10]), ("ok", False))

    def test_a_cost_over_its_bound_is_worse(self):
        self.assertEqual(outcome({"to": "kafka", "bound": 0.5}, [5, 6, 7], [10, 10, 10]), ("WORSE", True))

    def test_a_speed_under_its_bound_is_worse(self):
        self.assertEqual(outcome({"to": "kafka", "bound": 2}, [19], [10], SPEED), ("WORSE", True))
        self.assertEqual(outcome({"to": "kafka", "bound": 2}, [21], [10], SPEED), ("ok", False))

    def test_one_bad_round_does_not_move_the_median(self):
        self.assertEqual(outcome({"to": "kafka", "bound": 0.5}, [4, 100, 4], [10, 10, 10]), ("ok", False))

    def test_what_is_a_ratio_already_is_taken_as_it_is(self):
        self.assertEqual(outcome({"to": "one", "bound": 2}, [2.5]), ("WORSE", True))

    def test_a_side_that_was_not_measured_is_said_and_fails_nothing(self):
        self.assertEqual(outcome({"to": "kafka", "bound": 0.5}, [5]), ("not", False))


if __name__ == "__main__":
    unittest.main()
