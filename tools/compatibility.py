#!/usr/bin/env python3
"""Writes the tables of docs/compatibility.md from the source: APIs by version, configuration by key.

    compatibility.py            writes the file anew; what stands outside the marked parts is kept
    compatibility.py --check    only says whether it is current; exit code 1 if it is not

Sources: src/server/handlers/served.inc, src/protocol/schemas, src/base/config/keys, src/base/config/served_keys.cc.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "compatibility.md"
GROUP_APIS = {"join_group", "consumer_group_heartbeat"}
GROUP_KEYS = "broker_group_coordinator"


def snake_case(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def served_apis():
    return set(re.findall(r"^ODR_SERVED\((\w+)\)", (ROOT / "src/server/handlers/served.inc").read_text(), re.MULTILINE))


def apis():
    """(key, name, lowest version, highest, listeners) of each API of Kafka, by key. The highest is the highest stable."""
    found = []
    for path in (ROOT / "src/protocol/schemas").glob("*_request.schema"):
        text = path.read_text()
        head = re.search(r"^request (\w+)Request (\d+)\s+versions (\d+)(?:-(\d+))?( |$)", text, re.MULTILINE)
        if head is None:
            continue
        name, key, low, high = head.group(1), int(head.group(2)), int(head.group(3)), int(head.group(4) or head.group(3))
        if re.search(r"^latest-version-unstable$", text, re.MULTILINE):
            high -= 1
        listeners = re.search(r"^listeners (.*)$", text, re.MULTILINE)
        found.append((key, name, low, high, listeners.group(1).split() if listeners else []))
    return sorted(found)


def versions(low, high):
    if high < low:
        return "none stable"
    return str(low) if low == high else f"{low}-{high}"


def api_rows():
    served = served_apis()
    known = {snake_case(name) for _, name, *_ in apis()}
    if not served <= known:
        raise SystemExit(f"served.inc names what has no schema: {sorted(served - known)}")
    yield "| key | API | versions of Kafka 4.3.0 | listeners | here |"
    yield "| ---: | --- | --- | --- | --- |"
    for key, name, low, high, listeners in apis():
        here = versions(low, high) if snake_case(name) in served else "no"
        yield f"| {key} | {name} | {versions(low, high)} | {', '.join(listeners) or '-'} | {here} |"


def served_keys():
    text = (ROOT / "src/base/config/served_keys.cc").read_text()
    block = re.search(r"kServedKeys = .*?\{(.*?)\}\)", text, re.DOTALL).group(1)
    return set(re.findall(r'"([^"]+)"', block))


def keys(file):
    """(name, type, default, synonyms) of each public key of a file."""
    for line in file.read_text().splitlines():
        if not line or line[0] in " #" or line.startswith("set "):
            continue
        name, kind, default, *rest = line.split()
        if "internal" in rest:
            continue
        synonyms = next((each.removeprefix("synonyms=").split(",") for each in rest if each.startswith("synonyms=")), [])
        yield name, kind, default, synonyms


def key_rows(file, is_honoured):
    yield "| key | type | default | honoured |"
    yield "| --- | --- | --- | --- |"
    for name, kind, default, synonyms in sorted(keys(file)):
        yield f"| `{name}` | {kind} | `{default}` | {'yes' if is_honoured(name, synonyms) else 'no'} |"


def broker_tables():
    honoured = served_keys()
    has_groups = bool(GROUP_APIS & served_apis())
    for file in sorted((ROOT / "src/base/config/keys").glob("broker_*.keys")):
        is_off = file.stem == GROUP_KEYS and not has_groups
        title = file.stem.removeprefix("broker_").replace("_", " ")
        yield from ("", f"### Broker: {title}", "")
        if is_off:
            yield from ("Read and checked; they take effect when groups are served.", "")
        yield from key_rows(file, lambda name, _, off=is_off: not off and name in honoured)


def topic_table():
    honoured = served_keys()
    yield from ("", "### Topics", "")
    yield from key_rows(ROOT / "src/base/config/keys/topic.keys", lambda _, synonyms: bool(set(synonyms) & honoured))


def summary():
    served, all_apis = served_apis(), apis()
    of_brokers = [name for _, name, low, high, listeners in all_apis if "broker" in listeners and high >= low]
    here = [name for name in of_brokers if snake_case(name) in served]
    yield f"{len(here)} of the {len(of_brokers)} APIs that an Apache Kafka 4.3.0 broker has for clients are served, in every version of each."


PARTS = {"summary": summary, "apis": api_rows, "broker keys": broker_tables, "topic keys": topic_table}


def written(text):
    for name, make in PARTS.items():
        begin, end = f"<!-- generated: {name} -->", f"<!-- end of {name} -->"
        if begin not in text or end not in text:
            raise SystemExit(f"{DOCUMENT}: the marks of the part `{name}` are gone")
        before, rest = text.split(begin, 1)
        after = rest.split(end, 1)[1]
        text = before + begin + "\n" + "\n".join(make()).strip() + "\n" + end + after
    return text


def main(arguments):
    old = DOCUMENT.read_text()
    new = written(old)
    if old == new:
        return 0
    if "--check" in arguments:
        print("it is not what the source says: run ./dev docs")
        return 1
    DOCUMENT.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
