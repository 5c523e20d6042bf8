"""Members of groups (librdkafka) in a process of their own, which can be held still while its broker changes."""

import multiprocessing
import os
import signal
from contextlib import contextmanager

import confluent_kafka
from confluent_kafka import KafkaException, TopicPartition

from .waiting import wait_until

# A request that was not answered in this time never will be: everything the child does ends by itself before.
ANSWER_S = 120


def new_consumer(bootstrap, group, number=0, **config):
    defaults = {
        "bootstrap.servers": bootstrap,
        "group.id": group,
        "client.id": f"client-{number}",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "reconnect.backoff.ms": 20,
        "reconnect.backoff.max.ms": 100,
        "log_level": 0,
    }
    if "group.instance.id" in config:
        config["group.instance.id"] += f"-{number}"
    return confluent_kafka.Consumer(defaults | config)


class _Group:
    """Two members of one group, in the child. Its methods are what LiveGroup's call."""

    def __init__(self, bootstrap, name, topic, partitions, config):
        self.name, self.topic, self.partitions = name, topic, partitions
        self.members = [new_consumer(bootstrap, name, i, **config) for i in range(2)]
        for member in self.members:
            member.subscribe([topic])
        wait_until(self.is_settled, f"{name} to settle", 30)

    def assignments(self):
        return [sorted(partition.partition for partition in member.assignment()) for member in self.members]

    def is_settled(self):
        for member in self.members:
            member.poll(0.02)
        return sorted(sum(self.assignments(), [])) == list(range(self.partitions)) and all(self.assignments())

    def commit(self, offset):
        def commits(member):
            try:
                offsets = [TopicPartition(self.topic, p.partition, offset, metadata=self.name) for p in member.assignment()]
                return not [p for p in member.commit(offsets=offsets, asynchronous=False) if p.error]
            except KafkaException:
                return False

        for member in self.members:
            wait_until(lambda member=member: commits(member), f"{self.name} to commit {offset}", 30)

    def close(self):
        for member in self.members:
            member.close()


def _serve(pipe):
    groups = {}
    while True:
        try:
            name, method, arguments = pipe.recv()
        except EOFError:
            return
        try:
            if method == "join":
                groups[name] = _Group(*arguments)
                pipe.send((True, None))
            else:
                pipe.send((True, getattr(groups[name], method)(*arguments)))
        except Exception as error:
            pipe.send((False, f"{type(error).__name__}: {error}"))


class MembersProcess:
    """Owner: the test that made it, which ends it with close()."""

    def __init__(self):
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def call(self, name, method, *arguments):
        self._pipe.send((name, method, arguments))
        assert self._pipe.poll(ANSWER_S), f"{method} of {name} does not return"
        is_done, told = self._pipe.recv()
        assert is_done, f"{name}: {told}"
        return told

    @contextmanager
    def held_still(self):
        """Not one of their threads runs meanwhile; their sockets stay open."""
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def close(self):
        self._process.kill()
        self._process.join()
        self._pipe.close()


class LiveGroup:
    """A group of two members that stay while the broker changes."""

    def __init__(self, process, broker, name, topic, partitions, config):
        self.process, self.name = process, name
        process.call(name, "join", broker.bootstrap, name, topic, partitions, config)

    def assignments(self):
        return self.process.call(self.name, "assignments")

    def is_settled(self):
        return self.process.call(self.name, "is_settled")

    def commit(self, offset):
        """Each member commits what it owns; tried again while the broker is away."""
        self.process.call(self.name, "commit", offset)

    def close(self):
        self.process.call(self.name, "close")
