#!/usr/bin/env python3
"""Holds src/base/config/keys/*.keys against Apache Kafka's own jars: every key, type, default, rule, importance, update
mode, visibility and synonym. The jars are those in $ODRADEK_KAFKA_LIBS, by default build/kafka/libs; without them, or
without a JDK, the check is skipped with exit code 77.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
COLUMNS = ("type", "default", "rule", "importance", "update mode", "visibility", "synonyms")
SKIPPED = 77


def our_facts():
    facts = {}
    for path in sorted((ROOT / "src/base/config/keys").glob("*.keys")):
        key_set = None
        for line in path.read_text().splitlines():
            if line.startswith("set "):
                key_set = line.split()[1]
            elif line and line[0] not in " #":
                name, kind, default, rule, importance, mode, *rest = line.split()
                if name.startswith("odradek."):  # our own
                    continue
                synonyms = next((r.partition("=")[2] for r in rest if r.startswith("synonyms=")), "-")
                visibility = "internal" if "internal" in rest else "public"
                facts[key_set, name] = (kind, default, rule, importance, mode, visibility, synonyms)
    return facts


def kafka_facts(libs):
    class_path = os.pathsep.join(str(jar) for jar in sorted(libs.glob("*.jar")))
    with tempfile.TemporaryDirectory() as out:
        subprocess.run(["javac", "-cp", class_path, "-d", out, ROOT / "tests/config/KafkaConfigFacts.java"], check=True)
        printed = subprocess.run(["java", "-cp", out + os.pathsep + class_path, "KafkaConfigFacts"], check=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    rows = (line.split("\t") for line in printed.splitlines())
    # A client's quota keys are a user's without the SCRAM ones; the tables hold them once.
    return {(row[0], row[1]): tuple(row[2:]) for row in rows if row[0] != "client-quota"}


def normal(row):
    kind, default, rule, *rest = row
    if rule.startswith("one-of-any-case:"):  # the jars keep these in no order
        rule = "one-of-any-case:" + ",".join(sorted(rule.partition(":")[2].split(",")))
    return (kind, default, rule, *rest)


def main():
    libs = pathlib.Path(os.environ.get("ODRADEK_KAFKA_LIBS", ROOT / "build/kafka/libs"))
    if not list(libs.glob("kafka-clients-*.jar")) or not shutil.which("javac"):
        print(f"skipped: no Kafka jars in {libs}, or no JDK")
        return SKIPPED
    ours, theirs = our_facts(), kafka_facts(libs)
    trouble = [f"{s}: {n} is missing" for s, n in sorted(theirs.keys() - ours.keys())]
    trouble += [f"{s}: Kafka has no {n}" for s, n in sorted(ours.keys() - theirs.keys())]
    for key in sorted(ours.keys() & theirs.keys()):
        for column, we, they in zip(COLUMNS, normal(ours[key]), normal(theirs[key])):
            if we != they:
                trouble.append(f"{key[0]}: {key[1]}: {column} is {we}, Kafka's is {they}")
    print("\n".join(trouble) or f"{len(ours)} keys agree with {libs}")
    return 1 if trouble else 0


sys.exit(main())
