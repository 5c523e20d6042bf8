"""The Java producer, consumer and admin client: the checks of tests/interop/java/*Checks.java, each as a test."""

import re
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent / "java"
# Names that a loop builds out of a prefix and a value.
VALUES = {"acks=": ["0", "1", "all"]}
for _name in (
    "group reads everything, commits and goes on where it stopped, protocol ",
    "two members share the partitions and one takes over when the other leaves, protocol ",
    "commit with metadata comes back, protocol ",
):
    VALUES[_name] = ["classic", "consumer"]
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def names_of(program):
    text = (SOURCES / f"{program}.java").read_text()
    for name, joined in re.findall(r'\bcheck\("([^"]*)"( \+)?', text):
        if joined:
            yield from (name + value for value in VALUES.get(name, CODECS))
        else:
            yield name


def checks(program):
    return pytest.mark.parametrize("name", list(names_of(program)))


@pytest.fixture(scope="module")
def results(broker, tools):
    """Runs a program on first use and gives {check: "" or what went wrong}."""
    seen = {}

    def results(program):
        if program not in seen:
            done = tools.run_class(program, broker.bootstrap, timeout_s=400)
            lines = re.findall(r"^(PASS|FAIL) (.*)$", done.out, re.MULTILINE)
            seen[program] = done, lines
        return seen[program]

    return results


def assert_passed(results, program, name):
    done, lines = results(program)
    if ("PASS", name) in lines:
        return
    failures = [line for verdict, line in lines if verdict == "FAIL" and line.startswith(f"{name}: ")]
    assert failures, f"the check did not run\n{done}"
    pytest.fail(failures[0], pytrace=False)


@checks("ClientChecks")
def test_java_producer_and_consumer(results, name):
    assert_passed(results, "ClientChecks", name)


@pytest.mark.groups
@checks("GroupChecks")
def test_java_consumer_groups(results, name):
    assert_passed(results, "GroupChecks", name)


@pytest.mark.transactions
@checks("TransactionChecks")
def test_java_transactions(results, name):
    assert_passed(results, "TransactionChecks", name)


@checks("AdminChecks")
def test_java_admin_client(results, name):
    assert_passed(results, "AdminChecks", name)
