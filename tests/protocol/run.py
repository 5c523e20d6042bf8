#!/usr/bin/env python3
"""run.py [--jars DIR] [--build DIR] [--seed N] [--per-version N]: the protocol against the official 4.3.0 jars.

1. every schema, field by field;
2. random messages of every type and version made by Kafka's classes: we decode and encode, the bytes must agree;
3. the other way round.
Needs JDK 17, the jars (without them: exit code 77, skipped) and the program odr_protocol_roundtrip in the build directory.
"""

import argparse
import pathlib
import random
import subprocess
import sys
import tempfile

import schema_check

HERE = pathlib.Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jars", default=None)
    parser.add_argument("--build", default=str(schema_check.ROOT / "build" / "release"))
    parser.add_argument("--seed", type=int, default=random.randrange(2**31))
    parser.add_argument("--per-version", type=int, default=50)
    args = parser.parse_args()
    jars = schema_check.jar_dir(args.jars).resolve()
    if not list(jars.glob("kafka-clients-*.jar")):
        print(f"protocol: skipped, no jars of Apache Kafka in {jars}")
        return 77
    ours = pathlib.Path(args.build).resolve() / "odr_protocol_roundtrip"
    if not ours.exists():
        raise SystemExit(f"{ours} is missing: build the target odr_protocol_roundtrip")

    print(f"protocol: seed {args.seed}, {args.per_version} messages of each type and version", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        judge = ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{scratch}:{jars}/*", "Judge"]
        seed, count = str(args.seed), str(args.per_version)
        theirs_file, ours_file = f"{scratch}/theirs", f"{scratch}/ours"
        ok = all([
            _run([sys.executable, "-B", HERE / "schema_check.py", jars]),
            _run(["javac", "-cp", f"{jars}/*", "-d", scratch, HERE / "java" / "Judge.java"])
            and _run(judge + ["make", jars, seed, count, theirs_file]) and _run([ours, "check", theirs_file])
            and _run([ours, "make", seed, count, ours_file]) and _run(judge + ["check", jars, ours_file]),
        ])
    print(f"protocol: {'passed' if ok else 'FAILED, repeat with --seed ' + seed}")
    return 0 if ok else 1


def _run(command):
    return subprocess.run([str(word) for word in command], timeout=120, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
