#!/usr/bin/env python3
"""fuzz_each.py FUZZER SECONDS [NAME...]: runs protocol_fuzz for each decoder (or those named), SECONDS for each.

Prints a line for each decoder that failed, with the file that repeats it, and a summary. Corpora are not kept.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src" / "protocol" / "generator"))
import schema  # noqa: E402


def main():
    fuzzer, seconds, names = sys.argv[1], sys.argv[2], sys.argv[3:]
    names = names or [message.name for message in schema.load(ROOT / "src" / "protocol" / "schemas")]
    failed = 0
    for name in names:
        with tempfile.TemporaryDirectory() as corpus:
            run = subprocess.run(
                [fuzzer, f"-max_total_time={seconds}", "-max_len=2048", "-len_control=0", "-artifact_prefix=./", corpus],
                env={**os.environ, "ODR_FUZZ_MESSAGE": name}, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            failed += 1
            print(f"{name}: {run.stderr[-2000:]}", flush=True)
    print(f"fuzz: {len(names)} decoders, {seconds} s each, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
