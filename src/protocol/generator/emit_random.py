"""For tests: functions that fill a message with random values, in the fields that the version has."""

from model import condition, uses


def random_file(messages):
    lines = ["// Generated, for tests.", '#include "protocol/testing/random_source.h"']
    lines += [f'#include "protocol/generated/{m.file}.h"' for m in messages]
    lines += ["", "namespace odr::protocol {", ""]
    for message in messages:
        lines += ["namespace {", ""]
        for struct in message.structs:
            lines += _struct(struct) + [""]
        lines += ["}  // namespace", "",
                  f"void fill_random(RandomSource& random, std::int16_t version, {message.name}& out) {{",
                  "    fill(random, version, out);", "}", ""]
    return "\n".join(lines + ["}  // namespace odr::protocol", ""])


def _struct(struct):
    body = []
    for field in struct.fields:
        versions = field.schema.versions.intersect(struct.possible)
        here = condition(versions, struct.possible)
        if here.never:
            continue
        lines = _field(field, versions)
        body += lines if here.always else [f"if ({here.text}) {{"] + ["    " + line for line in lines] + ["}"]
    used = "\n".join(body)
    names = [name if uses(used, name) else f"/*{name}*/" for name in ("random", "version", "out")]
    return ([f"[[maybe_unused]] void fill(RandomSource& {names[0]}, std::int16_t {names[1]}, "
             f"{struct.cpp_name()}& {names[2]}) {{"] + ["    " + line for line in body] + ["}"])


def _field(field, versions):
    target = f"out.{field.name}"
    nullable = condition(field.schema.nullable, versions)
    value = []
    if field.array:
        inner = f"{target}.emplace()" if field.optional else target
        value = ["{", f"    auto& elements = {inner};",
                 f"    for (std::size_t left = random.count({str(field.is_struct).lower()}); left > 0; --left)"]
        if field.is_struct:
            value.append("        fill(random, version, elements.emplace_back());")
        else:
            value.append(f"        elements.push_back(random.value<{field.element_type()}>());")
        value.append("}")
    elif field.is_struct:
        inner = f"{target}.emplace()" if field.optional else target
        value = [f"fill(random, version, {inner});"]
    else:
        value = [f"{target} = random.value<{field.element_type()}>();"]
    if nullable.never:
        return value
    null = f"{target} = Records{{}};" if field.type == "records" and not field.array else f"{target}.reset();"
    test = "random.null()" if nullable.always else f"({nullable.text}) && random.null()"
    return [f"if ({test}) {{", f"    {null}", "} else {"] + ["    " + line for line in value] + ["}"]
