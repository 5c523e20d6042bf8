"""Each file of a node that is not a partition's, damaged in each way, one at a time.

What belongs to partitions has its table beside the storage code; the random loop is test_damage.py.
"""

import random
import shutil

import pytest
from test_damage import fill, served, starts

FIRST, MIDDLE, LAST = 0, 0.5, 1


def flip(where):
    def harm(content):
        content[min(len(content) - 1, int(len(content) * where))] ^= 1

    return harm


def cut(share):
    def harm(content):
        del content[int(len(content) * share) :]

    return harm


WAYS = {
    "emptied": cut(0),
    "halved": cut(0.5),
    "a bit at the start": flip(FIRST),
    "a bit in the middle": flip(MIDDLE),
    "a bit at the end": flip(LAST),
    "missing": None,
}
LOG = "__cluster_metadata-0"
# By pattern; of several files the newest.
FILES = [
    "meta.properties",
    "recovery-point-offset-checkpoint",
    "log-start-offset-checkpoint",
    "replication-offset-checkpoint",
    "cleaner-offset-checkpoint",
    "bootstrap.checkpoint",
    ".kafka_cleanshutdown",
    ".lock",
    f"{LOG}/quorum-state",
    f"{LOG}/*.checkpoint",
    f"{LOG}/*.log",
    f"{LOG}/*.index",
    f"{LOG}/*.timeindex",
    f"{LOG}/partition.metadata",
    f"{LOG}/leader-epoch-checkpoint",
]
# Without these there is no node, or another: the start names the file and ends. (The bootstrap file as in Apache Kafka.)
SAYS_WHO_IT_IS = {"meta.properties", "bootstrap.checkpoint"}


def newest(data_dir, pattern):
    """Of the segments and snapshots the last one with something in it, else an empty one; None without any."""
    snapshots_only = pattern.endswith("*.checkpoint")
    found = sorted(
        each for each in data_dir.glob(pattern) if not (snapshots_only and each.name == "leader-epoch-checkpoint")
    )
    return next((each for each in reversed(found) if each.stat().st_size), found[-1] if found else None)


def prepare(factory):
    """A node with topics, a metadata snapshot and metadata behind it: its directory killed, and stopped cleanly."""
    broker = factory.new({"metadata.log.max.record.bytes.between.snapshots": "1", "log.cleaner.backoff.ms": "100"})
    broker.start()
    written = fill(broker, random.Random(1))
    broker.restart()
    broker.kill()
    killed, clean = broker.directory / "killed", broker.directory / "clean"
    shutil.copytree(broker.data_dir, killed)
    broker.start()
    broker.stop()
    shutil.copytree(broker.data_dir, clean)
    return broker, written, {"killed": killed, "stopped cleanly": clean}


def damaged(path, way):
    """Whether there was something to harm."""
    if WAYS[way] is None:
        path.unlink()
        return True
    content = bytearray(path.read_bytes())
    if not content:
        return False
    WAYS[way](content)
    path.write_bytes(content)
    return True


def outcome(broker, written, path, pattern):
    """What the start made of the damage: "refused", "all there", or what is wrong with it."""
    if not starts(broker):
        if path.name not in broker.log_text() and path.parent.name not in broker.log_text():
            return "refused without naming the file"
        return "refused" if path.parent.name == LOG or pattern in SAYS_WHO_IT_IS else "refused for a file of no weight"
    whole = {partition: dict(enumerate(values)) for partition, values in written.items()}
    first = served(broker, written)
    broker.kill()
    if first != whole:
        return "serves less, or something else"
    if not starts(broker):
        return "the second start is refused"
    second = served(broker, written)
    broker.kill()
    return "all there" if second == whole else "serves less, or something else, after the second start"


@pytest.mark.odradek_only("Apache Kafka takes the directory offline, or believes what it finds")
def test_each_damaged_file_of_the_node_is_repaired_or_refused_by_name(factory):
    broker, written, directories = prepare(factory)
    met, wrong = {}, []
    for pattern in FILES:
        for ended, directory in directories.items():
            for way in WAYS:
                shutil.rmtree(broker.data_dir)
                shutil.copytree(directory, broker.data_dir)
                path = newest(broker.data_dir, pattern)
                if path is None or not damaged(path, way):
                    continue
                met[pattern] = met.get(pattern, 0) + 1
                broker.log_file.write_bytes(b"")
                found = outcome(broker, written, path, pattern)
                line = f"{path.relative_to(broker.data_dir)}, {ended}, {way}: {found}"
                print(line, flush=True)
                if found not in ("all there", "refused"):
                    wrong.append(f"{line}\n{broker.log_tail(25)}")
    assert not wrong, "\n".join(wrong)
    assert set(met) == set(FILES)
