#!/usr/bin/env python3
"""Counts what the parts of `./dev test` found.

    tally.py add RESULTS PART STATUS    counts one part that ended with STATUS, notes it, prints a line about it
    tally.py sum RESULTS                prints `N passed, N failed` over all parts; exit code 1 if any failed

A part may leave results in RESULTS: PART.xml (JUnit, of pytest), or PART-ctest.xml (JUnit, of ctest) with
PART-gtest/*.xml (of the test programs that ctest ran). A part without them is one test: exit code 0 passed, 77 skipped,
anything else failed. Whatever the results say, a part that ended badly has at least one failure.
The parts `build` and `setup` are no tests: they count only when they fail.
"""

import dataclasses
import json
import pathlib
import sys
import xml.etree.ElementTree as ElementTree

SKIPPED = 77
NO_TESTS = ("build", "setup")


@dataclasses.dataclass
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other):
        return Count(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed" + (f", {self.skipped} skipped" if self.skipped else "")


def count_cases(path):
    """Every <testcase> of a JUnit or GoogleTest file."""
    count = Count()
    for case in ElementTree.parse(path).iter("testcase"):
        children = {child.tag for child in case}
        if children & {"failure", "error"} or case.get("status") == "fail":
            count.failed += 1
        elif "skipped" in children or case.get("status") in ("notrun", "disabled"):
            count.skipped += 1
        else:
            count.passed += 1
    return count


def count_ctest(path, programs):
    """Counts each of ctest's tests by what its program wrote; one that wrote nothing (it crashed) as one test."""
    count = Count()
    for test in ElementTree.parse(path).iter("testcase"):
        own = programs / f"odr_{test.get('name').removeprefix('unit.')}_test.xml"
        is_bad = test.find("failure") is not None or test.get("status") in ("fail", "notrun")
        if test.find("skipped") is not None and test.get("status") != "run" and not own.exists():
            # A program that is missing is "not run" to ctest; one that ended with 77 has its reason in <skipped>.
            is_missing = "Unable to find executable" in (test.find("skipped").get("message") or "")
            count += Count(failed=1) if is_missing else Count(skipped=1)
        elif own.exists():
            cases = count_cases(own)
            count += cases if cases.failed or not is_bad else cases + Count(failed=1)
        else:
            count += Count(failed=1) if is_bad else Count(passed=1)
    return count


def count_part(results, part, status):
    if part in NO_TESTS:
        return Count(failed=int(status != 0))
    ctest = results / f"{part}-ctest.xml"
    if ctest.exists():
        count = count_ctest(ctest, results / f"{part}-gtest")
    elif (results / f"{part}.xml").exists():
        count = count_cases(results / f"{part}.xml")
    elif status == SKIPPED:
        return Count(skipped=1)
    else:
        return Count(passed=1) if status == 0 else Count(failed=1)
    if status not in (0, SKIPPED) and not count.failed:
        count.failed = 1
    return count


def main(arguments):
    command, results, *rest = arguments
    results = pathlib.Path(results)
    if command == "add":
        part, status = rest[0], int(rest[1])
        count = count_part(results, part, status)
        (results / f"{part}.count").write_text(json.dumps(dataclasses.asdict(count)))
        print("done" if count == Count() else count)
        return 0
    total = sum((Count(**json.loads(path.read_text())) for path in sorted(results.glob("*.count"))), Count())
    print(total)
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
