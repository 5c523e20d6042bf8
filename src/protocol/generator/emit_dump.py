"""For tools and tests: functions that write a message as JSON, with Kafka's own field names (in camel case)."""

from emit_encode import not_default
from model import condition, uses


def dump_file(messages):
    lines = ["// Generated, for tools and tests.", '#include "protocol/json.h"']
    lines += [f'#include "protocol/generated/{m.file}.h"' for m in messages]
    lines += ["", "namespace odr::protocol {", ""]
    for message in messages:
        lines += ["namespace {", ""]
        for struct in message.structs:
            lines += _struct(struct) + [""]
        lines += ["}  // namespace", "",
                  f"void write_json(JsonWriter& out, std::int16_t version, const {message.name}& message) {{",
                  "    dump(out, version, message);", "}", ""]
    return "\n".join(lines + ["}  // namespace odr::protocol", ""])


def _struct(struct):
    body = ["out.begin_object();"]
    for field in struct.fields:
        versions = field.schema.versions.intersect(struct.possible)
        here = condition(versions, struct.possible)
        if here.never:
            continue
        lines = _field(field)
        tagged = condition(field.tagged_versions(versions), versions)
        if not tagged.never:  # Kafka leaves out a tagged field that has its default
            told = not_default(field)
            told = told if tagged.always else f"!({tagged.text}) || {told}"
            lines = [f"if ({told}) {{"] + ["    " + line for line in lines] + ["}"]
        body += lines if here.always else [f"if ({here.text}) {{"] + ["    " + line for line in lines] + ["}"]
    body.append("out.end_object();")
    used = "\n".join(body)
    version = "version" if uses(used, "version") else "/*version*/"
    source = "from" if uses(used, "from") else "/*from*/"
    return ([f"[[maybe_unused]] void dump(JsonWriter& out, std::int16_t {version}, "
             f"const {struct.cpp_name()}& {source}) {{"] + ["    " + line for line in body] + ["}"])


def _field(field):
    source = f"from.{field.name}"
    name = field.schema.name[0].lower() + field.schema.name[1:]
    value = f"*{source}" if field.optional else source
    if field.array:
        element = "dump(out, version, element);" if field.is_struct else "out.value(element);"
        lines = ["out.begin_array();", f"for (const auto& element : {value}) {element}", "out.end_array();"]
    elif field.is_struct:
        lines = [f"dump(out, version, {value});"]
    else:
        lines = [f"out.value({value});"]
    if field.optional:
        lines = [f"if (!{source}) {{", "    out.null();", "} else {"] + ["    " + line for line in lines] + ["}"]
    return [f'out.name("{name}");'] + lines
