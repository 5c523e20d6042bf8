"""The functions that read a message."""

from model import FIXED, condition, uses


def decoder(message):
    """Gives the functions of the structs, and the one that the header declares."""
    inner = []
    for struct in message.structs:
        inner += _struct(message, struct) + [""]
    return inner, [f"Result<void> decode(Reader& in, std::int16_t version, {message.name}& out) {{",
              f"    if (version < {message.versions.low} || version > {message.versions.high}) [[unlikely]]",
              f'        return fail(ErrorCode::unsupported_version, "{message.name}: version not supported");',
              "    read(in, version, out);", "    return in.result();", "}", ""]


def _struct(message, struct):
    body = []
    run = []
    for field in struct.fields:
        here = condition(field.untagged_versions(struct.possible), struct.possible)
        if here.never:
            continue
        if field.fixed_size:
            run.append((field, here))
            continue
        body += _fixed_run(struct, run)
        run = []
        body += _guarded(here, _field(field, field.untagged_versions(struct.possible), tagged=False))
    body += _fixed_run(struct, run)
    flexible = condition(message.flexible, struct.possible)
    if not flexible.never:
        body += _guarded(flexible, _tagged_section(message, struct))
    used = "\n".join(body)
    version = "version" if uses(used, "version") else "/*version*/"
    out = "out" if uses(used, "out") else "/*out*/"
    reader = "in" if uses(used, "in") else "/*in*/"
    return ([f"[[maybe_unused]] void read(Reader& {reader}, std::int16_t {version}, {struct.cpp_name()}& {out}) {{"]
            + ["    " + line for line in body] + ["}"])


def _guarded(here, lines):
    if here.always:
        return lines
    return [f"if ({here.text}) {{"] + ["    " + line for line in lines] + ["}"]


def _fixed_run(struct, run):
    """Neighbours of fixed size: one check of the bounds for all of them."""
    if not run:
        return []
    certain = sum(field.fixed_size for field, here in run if here.always)
    sizes = [str(certain)] if certain else []
    sizes += [f"({here.text} ? {field.fixed_size} : 0)" for field, here in run if not here.always]
    label = struct.message.name if struct.top else f"{struct.message.name}.{struct.name}"
    lines = ["{", f'    const std::uint8_t* at = in.take({" + ".join(sizes)}, "{label}: cut short");',
             "    if (at == nullptr) [[unlikely]] return;"]
    for field, here in run:
        when = "" if here.always else f"if ({here.text}) "
        lines.append(f"    {when}out.{field.name} = load_next<{FIXED[field.type][0]}>(at);")
    return lines + ["}"]


def _field(field, possible, tagged):
    """Reads one field that is present in all of `possible`. Reading goes on after an error: it only gives zeros."""
    flexible = condition(field.flexible_versions(), possible).text
    nullable = condition(field.schema.nullable, possible).text
    target = f"out.{field.name}"
    if field.array:
        return _array(field, flexible, nullable)
    if field.fixed_size:
        return [f'if (const std::uint8_t* at = in.take({field.fixed_size}, "{field.label()}: cut short"))',
                f"    {target} = load_next<{FIXED[field.type][0]}>(at);"]
    if field.is_struct:
        return _single_struct(field, nullable, tagged)
    invalid = f'"{field.label()}: invalid {field.type}"'
    if field.type == "records":
        return [f"{target} = in.records({flexible}, {nullable}, {invalid});"]
    if field.optional:
        return [f"{target} = in.nullable_{field.type}({flexible}, {nullable}, {invalid});"]
    return [f"{target} = in.{field.type}({flexible}, {invalid});"]


def _single_struct(field, nullable, tagged):
    target = f"out.{field.name}"
    if not field.optional:
        # A tag that stands there twice counts the second time only.
        fresh = [f"{target} = {{}};"] if tagged else []
        return fresh + [f"read(in, version, {target});", "if (in.failed()) [[unlikely]] return;"]
    present = "in.tagged_struct_present" if tagged else "in.struct_present"
    return [f'if ({present}({nullable}, "{field.label()}: invalid struct")) {{',
            f"    read(in, version, {target}.emplace());", "    if (in.failed()) [[unlikely]] return;", "} else {",
            f"    {target}.reset();", "}"]


def _array(field, flexible, nullable):
    message = field.message
    element = field.element_type() if not field.is_struct else f"{message.name}::{field.type}"
    invalid = f'"{field.label()}: invalid array"'
    lines = ["{", f"    const std::int64_t count = in.array({flexible}, {nullable}, {message.min_size(field)}, "
                  f"sizeof({element}), {invalid});"]
    target = f"out.{field.name}"
    if field.optional:
        lines += ["    if (count < 0) {", f"        {target}.reset();", "    } else {",
                  f"        auto& elements = {target}.emplace();"]
    else:
        lines += ["    {", f"        auto& elements = {target};", "        elements.clear();"]
    if field.type in FIXED:
        lines.append(f"        in.fixed_elements(elements, static_cast<std::size_t>(count));")
    else:
        lines += ["        elements.reserve(static_cast<std::size_t>(count));",
                  "        for (std::int64_t i = 0; i < count; ++i) {"]
        if field.is_struct:
            lines.append("            read(in, version, elements.emplace_back());")
        else:
            lines.append(f'            elements.push_back(in.{field.type}({flexible}, '
                         f'"{field.label()}: invalid element"));')
        lines += ["            if (in.failed()) [[unlikely]] return;", "        }"]
    return lines + ["    }", "}"]


def _tagged_section(message, struct):
    known = [f for f in struct.tagged_fields() if not f.tagged_versions(struct.possible).empty()]
    if not known:
        return ["in.skip_tagged_fields();"]
    lines = ["for (std::uint32_t left = in.unsigned_varint(); left > 0 && !in.failed(); --left) {",
             "    const std::uint32_t tag = in.unsigned_varint();",
             "    const std::uint32_t size = in.unsigned_varint();", "    switch (tag) {"]
    for field in known:
        versions = field.tagged_versions(struct.possible)
        valid = condition(versions, struct.possible.intersect(message.flexible))
        lines.append(f"        case {field.tag}: {{")
        if not valid.always:
            lines.append(f'            if (!({valid.text})) return in.fail("{field.label()}: tag not of this version");')
        lines += ["            " + line for line in _field(field, versions, tagged=True)]
        lines += ["            break;", "        }"]
    return lines + ["        default: in.skip(size); break;", "    }", "}"]
