"""A regression check: ratios of one run against a table of bounds, for absolute figures belong to a machine.

The table: workload -> figure -> {"to": "kafka", "floor" or "one", "bound": 0.2}. A figure is its median over the rounds,
divided by that of Apache Kafka or of the floor program in the same run; "one" takes it as it is, for what is a ratio
already. The bound is the most where less is better, the least where more is.
"""

import json
from statistics import median

from .names import ODRADEK
from .table import number, values_of


def read_bounds(path):
    return json.loads(path.read_text(encoding="utf-8"))


def ratio_of(metric, results, to):
    """Gives: the ratio, or None where a side was not measured."""
    ours = values_of(results, ODRADEK, metric)
    if to == "one":
        return median(ours) if ours else None
    others = values_of(results, to, metric)
    return median(ours) / median(others) if ours and others and median(others) else None


def check(bounds, workloads, results):
    """Gives: a line for each bound, and whether one is passed. What could not be measured passes no bound and is said."""
    lines, has_failed = [], False
    for workload in workloads:
        for key, rule in bounds.get(workload.name, {}).items():
            metric = next(metric for metric in workload.metrics if metric.key == key)
            found = ratio_of(metric, results[workload.name], rule["to"])
            what = f"{workload.name}: {metric.title}" + ("" if rule["to"] == "one" else f", to {rule['to']}")
            if found is None:
                lines.append(f"not measured  {what}")
                continue
            is_worse = found < rule["bound"] if metric.higher else found > rule["bound"]
            has_failed = has_failed or is_worse
            side = "at least" if metric.higher else "at most"
            lines.append(f"{'WORSE' if is_worse else 'ok':<14}{what}: {number(found)}, {side} {number(rule['bound'])}")
    return lines, has_failed
