"""What is known about all messages at once: API keys, record types, and lists for tests and tools."""

from model import snake_case

RECORD_SETS = [  # (kind, name of the enum)
    ("metadata-record", "MetadataRecordType"),
    ("group-key", "GroupRecordType"),
    ("transaction-key", "TransactionRecordType"),
    ("share-key", "ShareRecordType"),
    ("remote-log-record", "RemoteLogRecordType"),
]


def api_keys(messages):
    """The rows of the table in api_keys.h, by key."""
    responses = {m.key: m for m in messages if m.kind == "response"}
    rows = []
    for m in sorted((m for m in messages if m.kind == "request"), key=lambda m: m.key):
        name = m.name.removesuffix("Request")
        if responses[m.key].versions != m.versions or responses[m.key].flexible.low != m.flexible.low:
            if responses[m.key].versions != m.versions:
                raise SystemExit(f"{m.name}: request and response have other versions")
        listeners = " | ".join(f"kListener{word.capitalize()}" for word in m.schema.listeners) or "0"
        flexible = "INT16_MAX" if m.flexible.empty() else m.flexible.low
        unstable = "true" if m.schema.latest_version_unstable else "false"
        rows.append(f'ODR_API({m.key}, {snake_case(name)}, "{name}", {m.versions.low}, {m.versions.high}, '
                    f"{flexible}, {listeners}, {unstable})")
    return "// Generated: key, enumerator, name, min, max, flexible from, listeners, latest version unstable.\n" + (
        "\n".join(rows) + "\n")


def record_types(messages):
    lines = ["// Generated from the schemas of records.", "#pragma once", "", "#include <cstdint>", "",
             "namespace odr::protocol {", ""]
    for kind, enum in RECORD_SETS:
        records = sorted((m for m in messages if m.kind == kind), key=lambda m: m.key)
        lines.append(f"enum class {enum} : std::int16_t {{")
        for m in records:
            name = m.name.removesuffix("Key") if kind.endswith("-key") else m.name.removesuffix("Record")
            lines.append(f"    {snake_case(name)} = {m.key},")
        lines += ["};", ""]
    return "\n".join(lines + ["}  // namespace odr::protocol", ""])


def all_messages(messages):
    """For tests and tools: #define ODR_MESSAGE(Name, kind, version_min, version_max) and include."""
    lines = [f'ODR_MESSAGE({m.name}, "{m.kind}", {m.versions.low}, {m.versions.high})' for m in messages]
    return "// Generated: every message.\n" + "\n".join(lines) + "\n"


def all_headers(messages):
    return "// Generated: every message.\n#pragma once\n\n" + "".join(
        f'#include "protocol/generated/{m.file}.h"\n' for m in messages)


def metadata_records(messages):
    rows = [f"ODR_METADATA_RECORD({m.name}, {snake_case(m.name.removesuffix('Record'))})"
            for m in sorted((m for m in messages if m.kind == "metadata-record"), key=lambda m: m.key)]
    return "// Generated: every metadata record, by type.\n" + "\n".join(rows) + "\n"
