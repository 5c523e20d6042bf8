"""The message schemas inside the official Apache Kafka jars, brought into the words of our own schema files."""

import json
import pathlib
import re
import sys
import zipfile

# Jar name prefix -> (folder of its schemas, the set its records belong to).
JARS = {
    "kafka-clients-": ("common/message/", None),
    "kafka-raft-": ("common/message/", None),
    "kafka-metadata-": ("common/metadata/", "metadata"),
    "kafka-group-coordinator-": ("common/message/", "group"),
    "kafka-transaction-coordinator-": ("common/message/", "transaction"),
    "kafka-share-coordinator-": ("common/message/", "share"),
    "kafka-storage-": ("message/", "remote-log"),
}


def read_all(jar_dir):
    """Yields one dict per message that has a valid version, in the shape of the message files in the jars."""
    for jar in sorted(pathlib.Path(jar_dir).glob("kafka-*.jar")):
        for prefix, (folder, record_set) in JARS.items():
            if not re.fullmatch(re.escape(prefix) + r"\d.*\.jar", jar.name):
                continue
            with zipfile.ZipFile(jar) as archive:
                for name in sorted(archive.namelist()):
                    if name.startswith(folder) and name.endswith(".json"):
                        message = json.loads(_strip_comments(archive.read(name).decode()))
                        if message["validVersions"] != "none":
                            yield _kind(message, record_set)


def _strip_comments(text):
    return re.sub(r'(?m)(^|\s)//[^"\n]*$|^\s*//.*$', "", text)


def _kind(message, record_set):
    kind = message["type"]
    if kind == "metadata":
        kind = f"{record_set}-record"
    elif kind.startswith("coordinator-"):
        kind = kind.replace("coordinator", record_set)
    return {**message, "kind": kind}


def to_text(message):
    """Our schema file for one message."""
    lines = [f"{message['kind']} {message['name']}"]
    if "apiKey" in message:
        lines[0] += f" {message['apiKey']}"
    lines.append(f"versions {message['validVersions']} flexible {message['flexibleVersions']}")
    if message.get("listeners"):
        lines.append("listeners " + " ".join(sorted(message["listeners"])))
    if message.get("latestVersionUnstable"):
        lines.append("latest-version-unstable")
    lines.append("")
    _fields(message["fields"], "", lines)
    for struct in message.get("commonStructs", []):
        lines += ["", f"struct {struct['name']} {struct['versions']} {{"]
        _fields(struct["fields"], "    ", lines)
        lines.append("}")
    while lines[-1] == "":
        lines.pop()
    return "\n".join(lines) + "\n"


def _fields(fields, indent, lines):
    for field in fields:
        versions = field.get("versions") or field["taggedVersions"]
        words = [field["name"], field["type"], versions]
        if "tag" in field:
            tagged = field["taggedVersions"]
            words.append(f"tag={field['tag']}" + ("" if tagged == versions else f"@{tagged}"))
        if field.get("nullableVersions"):
            words.append(f"null={field['nullableVersions']}")
        default = default_text(field)
        if default != "":
            words.append(f"default={default}")
        if field.get("flexibleVersions"):
            words.append(f"flexible={field['flexibleVersions']}")
        for word, key in (("ignorable", "ignorable"), ("key", "mapKey"), ("zero-copy", "zeroCopy")):
            if field.get(key):
                words.append(word)
        line = indent + " ".join(words)
        if field.get("fields"):
            lines.append(line + " {")
            _fields(field["fields"], indent + "    ", lines)
            lines.append(indent + "}")
        else:
            lines.append(line)


def default_text(field):
    """A JSON null or a missing default is Kafka's "", whatever the type."""
    default = field.get("default")
    if default is None:
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)


def snake_case(name):
    name = name.replace("KRaft", "Kraft")
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"([A-Z])([A-Z][a-z])", r"\1_\2", name).lower()


def main():
    """kafka_schemas.py JAR_DIR OUT_DIR: writes every schema file anew (for a new version of Kafka)."""
    out = pathlib.Path(sys.argv[2])
    for message in read_all(sys.argv[1]):
        (out / (snake_case(message["name"]) + ".schema")).write_text(to_text(message))


if __name__ == "__main__":
    main()
