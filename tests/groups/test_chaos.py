"""Members that join, leave, vanish and crash at random (java/GroupChaos.java): no partition has two owners, no commit is
lost. Some run in processes that are killed.

ODRADEK_GROUP_MEMBERS (default 8, the long form has 20) and ODRADEK_GROUP_SECONDS (25, 300) bound it; ODRADEK_SEED
replays who does what, though not when.
"""

import os
import random
import re
import subprocess

import pytest

from harness import java
from harness.broker import BrokerFactory

GROUPS = [
    "classic:range",
    "classic:roundrobin",
    "classic:sticky",
    "classic:cooperative-sticky",
    "consumer:uniform",
    "consumer:range",
    "mixed:cooperative-sticky",
]
MEMBERS = int(os.environ.get("ODRADEK_GROUP_MEMBERS", 8))
SECONDS = int(os.environ.get("ODRADEK_GROUP_SECONDS", 25))
SEED = int(os.environ.get("ODRADEK_SEED", 0)) or random.SystemRandom().randrange(1 << 32)

# A crash is noticed within seconds.
CONFIG = {
    "group.min.session.timeout.ms": 1000,
    "group.consumer.min.session.timeout.ms": 1000,
    "group.consumer.session.timeout.ms": 3000,
    "group.consumer.min.heartbeat.interval.ms": 100,
    "group.consumer.heartbeat.interval.ms": 500,
}


@pytest.fixture(scope="module")
def chaos(kind, tmp_path_factory, tools):
    """What the program said of all groups: {group: (verdict, the rest)}."""
    factory = BrokerFactory(kind, tmp_path_factory.mktemp("chaos"), tools)
    broker = factory.start(CONFIG)
    try:
        command = java.java_command(
            "GroupChaos", broker.bootstrap, SEED, SECONDS, MEMBERS, *GROUPS,
            heap_mb=1024, options=["-Dodradek.test.loglevel=OFF"],
        )  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS + 180)
        assert broker.is_running(), broker.log_tail()
    finally:
        factory.close()
    print(done.stderr)
    said = re.findall(r"^(PASS|FAIL) (\S+): (.*)$", done.stdout, re.MULTILINE)
    return {group: (verdict, rest) for verdict, group, rest in said}


@pytest.mark.parametrize("group", GROUPS)
def test_a_partition_has_one_owner_and_commits_stay(chaos, group):
    print(f"ODRADEK_SEED={SEED}")
    verdict, rest = chaos.get(group, ("FAIL", "the program said nothing of it"))
    print(rest)
    assert verdict == "PASS", f"{rest} (ODRADEK_SEED={SEED})"
    assert int(re.search(r"(\d+) assignments", rest)[1]) > MEMBERS, rest
    assert int(re.search(r"(\d+) killed", rest)[1]) > 0, rest
