#!/usr/bin/env python3
"""schema_check.py [JAR_DIR]: holds every file in src/protocol/schemas, field by field, against the official jars.

JAR_DIR, else $ODRADEK_KAFKA_LIBS, else build/kafka/libs. Without jars: exit code 77 (skipped).
"""

import os
import pathlib
import sys

import kafka_schemas

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src" / "protocol" / "generator"))
import schema  # noqa: E402  (the generator's own parser, so that what is checked is what is generated)


def jar_dir(argument=None):
    return pathlib.Path(argument or os.environ.get("ODRADEK_KAFKA_LIBS") or ROOT / "build" / "kafka" / "libs")


def their_message(message):
    """The facts of one message of the jars, in comparable form."""
    structs = {}
    fields = _their_fields(message["fields"], structs)
    for struct in message.get("commonStructs", []):
        structs[struct["name"]] = (schema.Versions.parse(struct["versions"]), _their_fields(struct["fields"], structs))
    return {
        "kind": message["kind"],
        "key": message.get("apiKey"),
        "versions": schema.Versions.parse(message["validVersions"]),
        "flexible": schema.Versions.parse(message["flexibleVersions"]),
        "listeners": sorted(message.get("listeners", [])),
        "latest version unstable": bool(message.get("latestVersionUnstable")),
        "fields": fields,
        "structs": structs,
    }


def _their_fields(fields, structs):
    out = []
    for field in fields:
        tagged = field.get("taggedVersions")
        versions = schema.Versions.parse(field.get("versions") or tagged)
        name = field["type"].removeprefix("[]")
        if field.get("fields"):
            structs[name] = (versions, _their_fields(field["fields"], structs))
        out.append({
            "name": field["name"],
            "type": field["type"],
            "versions": versions,
            "tag": field.get("tag"),
            "tagged": schema.Versions.parse(tagged) if tagged else schema.NONE,
            "nullable": schema.Versions.parse(field.get("nullableVersions") or "none"),
            "flexible": schema.Versions.parse(field["flexibleVersions"]) if "flexibleVersions" in field else None,
            "default": kafka_schemas.default_text(field),
            "ignorable": bool(field.get("ignorable")),
            "key": bool(field.get("mapKey")),
            "zero copy": bool(field.get("zeroCopy")),
        })
    return out


def our_message(message):
    return {
        "kind": message.kind,
        "key": message.key,
        "versions": message.versions,
        "flexible": message.flexible,
        "listeners": sorted(message.listeners),
        "latest version unstable": message.latest_version_unstable,
        "fields": _our_fields(message.fields),
        "structs": {s.name: (s.versions, _our_fields(s.fields)) for s in message.structs},
    }


def _our_fields(fields):
    return [{
        "name": f.name,
        "type": ("[]" if f.array else "") + f.type,
        "versions": f.versions,
        "tag": f.tag,
        "tagged": f.tagged,
        "nullable": f.nullable,
        "flexible": f.flexible,
        "default": f.default,
        "ignorable": f.ignorable,
        "key": f.key,
        "zero copy": f.zero_copy,
    } for f in fields]


def differences(ours, theirs, where):
    """Gives a line for each fact that differs, down to the field."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            if key not in ours or key not in theirs:
                yield f"{where}: {key} only {'in the jars' if key not in ours else 'here'}"
            else:
                yield from differences(ours[key], theirs[key], f"{where}, {key}")
    elif isinstance(ours, (list, tuple)) and isinstance(theirs, (list, tuple)) and len(ours) == len(theirs):
        for index, (our, their) in enumerate(zip(ours, theirs)):
            name = our["name"] if isinstance(our, dict) and "name" in our else index
            yield from differences(our, their, f"{where} {name}")
    elif ours != theirs:
        yield f"{where}: here {ours}, in the jars {theirs}"


def main():
    jars = jar_dir(sys.argv[1] if len(sys.argv) > 1 else None)
    if not list(jars.glob("kafka-clients-*.jar")):
        print(f"schemas: skipped, no jars of Apache Kafka in {jars}")
        return 77
    theirs = {m["name"]: their_message(m) for m in kafka_schemas.read_all(jars)}
    read = schema.load(ROOT / "src" / "protocol" / "schemas")
    ours = {m.name: our_message(m) for m in read}
    wrong = list(differences(ours, theirs, "schemas"))
    wrong += [f"{p.name}: not the file of any message" for p in (ROOT / "src/protocol/schemas").glob("*")
              if p.stem not in {kafka_schemas.snake_case(name) for name in ours}]
    fields = sum(len(m.fields) + sum(len(s.fields) for s in m.structs) for m in read)
    for line in wrong[:50]:
        print(line)
    print(f"schemas: {len(ours)} messages, {fields} fields, {len(wrong)} differ from the jars")
    return 1 if wrong or not ours else 0


if __name__ == "__main__":
    sys.exit(main())
