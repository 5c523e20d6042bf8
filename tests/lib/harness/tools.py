"""Apache Kafka's own command-line tools, unmodified, run inside one long-lived JVM (tests/lib/java/ToolHost.java)."""

import struct
import subprocess
import threading
from dataclasses import dataclass

from . import java

TIMED_OUT = 124

# The classes behind bin/kafka-*.sh.
CLASSES = {
    "broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "cluster": "org.apache.kafka.tools.ClusterTool",
    "configs": "kafka.admin.ConfigCommand",
    "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
    "delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "dump-log": "org.apache.kafka.tools.DumpLogSegments",
    "features": "org.apache.kafka.tools.FeatureCommand",
    "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
    "metadata-shell": "org.apache.kafka.shell.MetadataShell",
    "producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "storage": "kafka.tools.StorageTool",
    "topics": "org.apache.kafka.tools.TopicCommand",
}


@dataclass
class ToolResult:
    """What a tool left behind. Exit code 124: it did not end in time."""

    command: str
    exit_code: int
    out: str
    err: str

    def ok(self):
        """Fails the test, with all that the tool said, unless the tool succeeded."""
        assert self.exit_code == 0, str(self)
        return self

    def lines(self):
        return [line for line in self.out.splitlines() if line.strip()]

    def __str__(self):
        return f"{self.command}\nexit code {self.exit_code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class KafkaTools:
    """Owner of the host JVM. Not thread safe: tools run one at a time."""

    def __init__(self):
        self._process = None

    def run(self, name, *arguments, stdin=b"", timeout_s=40):
        """Runs `kafka-<name>.sh arguments`."""
        return self.run_class(CLASSES[name], *arguments, stdin=stdin, timeout_s=timeout_s)

    def run_class(self, main, *arguments, stdin=b"", timeout_s=40):
        words = [main, *map(str, arguments)]
        if self._process is None or self._process.poll() is not None:
            self._start()
        request = struct.pack(">ii", int(timeout_s * 1000), len(words))
        request += b"".join(self._string(word.encode()) for word in words)
        request += self._string(stdin.encode() if isinstance(stdin, str) else stdin)
        # The host answers by itself when the tool's time is over; this only guards against a host that hangs.
        watchdog = threading.Timer(timeout_s + 20, self._process.kill)
        watchdog.start()
        try:
            self._process.stdin.write(request)
            self._process.stdin.flush()
            (exit_code,) = struct.unpack(">i", self._read(4))
            result = ToolResult(" ".join(words), exit_code, self._read_string(), self._read_string())
        except (BrokenPipeError, EOFError) as error:
            self.close()
            raise AssertionError(f"the JVM that hosts the tools died in: {' '.join(words)}") from error
        finally:
            watchdog.cancel()
        if result.exit_code == TIMED_OUT:
            self.close()
        return result

    def close(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._process.stdout.close()
            self._process = None

    def _start(self):
        command = java.java_command("ToolHost", options=["-Dodradek.test.loglevel=ERROR"])
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    @staticmethod
    def _string(raw):
        return struct.pack(">i", len(raw)) + raw

    def _read(self, size):
        raw = self._process.stdout.read(size)
        if len(raw) != size:
            raise EOFError
        return raw

    def _read_string(self):
        (size,) = struct.unpack(">i", self._read(4))
        return self._read(size).decode(errors="replace")
