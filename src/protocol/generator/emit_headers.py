"""One header per message: plain structs and the two functions that read and write them."""

from model import default_value


def header(message):
    out = ["// Generated from src/protocol/schemas/%s.schema." % message.file, "#pragma once", ""]
    out += ["#include <cstdint>", "#include <optional>", "#include <string_view>", "#include <vector>", "",
            '#include "base/bytes.h"', '#include "base/result.h"', '#include "base/uuid.h"',
            '#include "protocol/records.h"', "", "namespace odr::protocol {", "", "class Reader;", "class Writer;", ""]
    nested = message.structs[:-1]
    if nested:
        # Nested types stand outside: a class cannot use their default member initialisers before its own end.
        out += [f"namespace {message.types_namespace} {{", ""]
        for struct in nested:
            out += _struct(struct, []) + [""]
        out += [f"}}  // namespace {message.types_namespace}", ""]
    out += _struct(message.top, _head(message, nested))
    out += ["", f"Result<void> decode(Reader& in, std::int16_t version, {message.name}& out);",
            f"void encode(Writer& out, std::int16_t version, const {message.name}& message);", "",
            "}  // namespace odr::protocol", ""]
    return "\n".join(out)


def _head(message, nested):
    lines = [f"    using {s.name} = {message.types_namespace}::{s.name};" for s in nested]
    if message.key is not None:
        lines.append(f"    static constexpr std::int16_t kApiKey = {message.key};")
    flexible = "INT16_MAX" if message.flexible.empty() else message.flexible.low
    lines += [f'    static constexpr std::string_view kName = "{message.name}";',
              f"    static constexpr std::int16_t kMinVersion = {message.versions.low};",
              f"    static constexpr std::int16_t kMaxVersion = {message.versions.high};",
              f"    static constexpr std::int16_t kFlexibleFrom = {flexible};", ""]
    return lines


def _struct(struct, head):
    lines = [f"struct {struct.name} {{"] + head
    lines += [f"    {cpp_type(field)} {field.name}{default_value(field)};" for field in struct.fields]
    if struct.fields:
        lines.append("")
    if any(field.type == "bytes" for field in struct.fields):
        lines.append(f"    friend bool operator==(const {struct.name}& a, const {struct.name}& b);")
    else:
        lines.append(f"    friend bool operator==(const {struct.name}&, const {struct.name}&) = default;")
    return lines + ["};"]


def cpp_type(field):
    text = field.element_type()
    if field.array:
        text = f"std::vector<{text}>"
    return f"std::optional<{text}>" if field.optional else text
