#!/usr/bin/env python3
"""generate.py SCHEMA_DIR OUT_DIR GROUPS: turns the schemas into C++ under OUT_DIR/protocol/generated.

GROUPS is the number of .cc files that share the codecs (and of those for tests and tools). A file is written only where its contents change, so that a
touched schema recompiles what it concerns and no more.
"""

import pathlib
import sys

import emit_decode
import emit_dump
import emit_encode
import emit_equality
import emit_headers
import emit_random
import emit_tables
import schema
from model import Message


def balance(messages, groups):
    """Deals the messages out so that each group has about the same number of fields."""
    bins = [[0, index, []] for index in range(groups)]
    for message in sorted(messages, key=lambda m: (-m.weight(), m.name)):
        lightest = min(bins)
        lightest[0] += message.weight()
        lightest[2].append(message)
    return [sorted(members, key=lambda m: m.name) for _, _, members in bins]


def codec(messages):
    lines = ["// Generated.", '#include "protocol/reader.h"', '#include "protocol/writer.h"']
    lines += [f'#include "protocol/generated/{m.file}.h"' for m in messages]
    lines += ["", "namespace odr::protocol {", ""]
    for message in messages:
        reads, writes = emit_decode.decoder(message), emit_encode.encoder(message)
        lines += emit_equality.equality(message)
        lines += ["namespace {", ""] + reads[0] + writes[0] + ["}  // namespace", ""] + reads[1] + writes[1]
    return "\n".join(lines + ["}  // namespace odr::protocol", ""])


def main():
    schema_dir, out_dir, groups = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
    out = out_dir / "protocol" / "generated"
    out.mkdir(parents=True, exist_ok=True)
    messages = [Message(read) for read in schema.load(schema_dir)]
    files = {f"{m.file}.h": emit_headers.header(m) for m in messages}
    for index, members in enumerate(balance(messages, groups)):
        files[f"codec_{index:02}.cc"] = codec(members)
        files[f"random_{index:02}.cc"] = emit_random.random_file(members)
        files[f"json_{index:02}.cc"] = emit_dump.dump_file(members)
    files["api_keys.inc"] = emit_tables.api_keys(messages)
    files["metadata_records.inc"] = emit_tables.metadata_records(messages)
    files["record_types.h"] = emit_tables.record_types(messages)
    files["all_messages.inc"] = emit_tables.all_messages(messages)
    files["all_messages.h"] = emit_tables.all_headers(messages)
    for name, text in files.items():
        path = out / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


if __name__ == "__main__":
    main()
