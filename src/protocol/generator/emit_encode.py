"""The functions that write a message."""

from model import FIXED, condition, uses


def encoder(message):
    """Gives the functions of the structs, and the one that the header declares."""
    inner = []
    for struct in message.structs:
        inner += _struct(message, struct) + [""]
    return inner, [f"void encode(Writer& out, std::int16_t version, const {message.name}& message) {{",
                    "    write(out, version, message);", "}", ""]


def _struct(message, struct):
    body = []
    run = []
    for field in struct.fields:
        versions = field.untagged_versions(struct.possible)
        here = condition(versions, struct.possible)
        if here.never:
            continue
        if field.fixed_size:
            run.append((field, here))
            continue
        body += _fixed_run(run)
        run = []
        body += _guarded(here, _field(field, versions))
    body += _fixed_run(run)
    flexible = condition(message.flexible, struct.possible)
    if not flexible.never:
        body += _guarded(flexible, _tagged_section(message, struct))
    used = "\n".join(body)
    version = "version" if uses(used, "version") else "/*version*/"
    source = "from" if uses(used, "from") else "/*from*/"
    writer = "out" if uses(used, "out") else "/*out*/"
    return ([f"[[maybe_unused]] void write(Writer& {writer}, std::int16_t {version}, "
             f"const {struct.cpp_name()}& {source}) {{"]
            + ["    " + line for line in body] + ["}"])


def _guarded(here, lines):
    if here.always:
        return lines
    return [f"if ({here.text}) {{"] + ["    " + line for line in lines] + ["}"]


def _fixed_run(run):
    if not run:
        return []
    certain = sum(field.fixed_size for field, here in run if here.always)
    sizes = [str(certain)] if certain else []
    sizes += [f"({here.text} ? {field.fixed_size} : 0)" for field, here in run if not here.always]
    lines = ["{", f'    std::uint8_t* at = out.extend({" + ".join(sizes)});']
    for field, here in run:
        when = "" if here.always else f"if ({here.text}) "
        lines.append(f"    {when}store_next<{FIXED[field.type][0]}>(at, from.{field.name});")
    return lines + ["}"]


def _field(field, possible, tagged=False):
    flexible = condition(field.flexible_versions(), possible).text
    nullable = condition(field.schema.nullable, possible).text
    source = f"from.{field.name}"
    if field.array:
        return _array(field, flexible, nullable)
    if field.fixed_size:
        return [f"out.fixed<{FIXED[field.type][0]}>({source});"]
    if field.is_struct:
        return _single_struct(field, nullable, tagged)
    if field.type == "records":
        return [f"out.records({source}, {flexible}, {nullable});"]
    if field.optional:
        return [f"out.nullable_{field.type}({source}, {flexible}, {nullable});"]
    return [f"out.{field.type}({source}, {flexible});"]


def _single_struct(field, nullable, tagged):
    source = f"from.{field.name}"
    if not field.optional:
        return [f"write(out, version, {source});"]
    mark = "tagged_struct_present" if tagged else "struct_present"
    lines = [f"if ({source}) {{"]
    if nullable != "false":
        call = f"out.{mark}(true);"
        lines.append("    " + (call if nullable == "true" else f"if ({nullable}) {call}"))
    lines += [f"    write(out, version, *{source});", "} else {"]
    if nullable == "true":
        lines.append(f"    out.{mark}(false);")
    else:
        empty = f"write(out, version, {field.message.name}::{field.type}{{}});"
        lines.append(f"    if ({nullable}) out.{mark}(false);")
        lines.append(f"    else {empty}")
    return lines + ["}"]


def _array(field, flexible, nullable):
    source = f"from.{field.name}"
    lines = []
    if field.optional:
        lines += [f"if (!{source}) {{", f"    out.null_array({flexible}, {nullable});", "} else {",
                  f"    const auto& elements = *{source};"]
    else:
        lines += ["{", f"    const auto& elements = {source};"]
    lines.append(f"    out.array(elements.size(), {flexible});")
    if field.type in FIXED:
        lines.append("    out.fixed_elements(elements);")
    elif field.is_struct:
        lines.append("    for (const auto& element : elements) write(out, version, element);")
    else:
        lines.append(f"    for (const auto& element : elements) out.{field.type}(element, {flexible});")
    return lines + ["}"]


def _tagged_section(message, struct):
    possible = struct.possible.intersect(message.flexible)
    known = [f for f in struct.tagged_fields() if not f.tagged_versions(possible).empty()]
    if not known:
        return ["out.unsigned_varint(0);"]
    lines = []
    for field in known:
        here = condition(field.tagged_versions(possible), possible)
        told = not_default(field)
        lines.append(f"const bool has_{field.name} = {told if here.always else f'({here.text}) && ({told})'};")
    count = " + ".join(f"static_cast<std::uint32_t>(has_{field.name})" for field in known)
    lines.append(f"out.unsigned_varint({count});")
    for field in known:
        lines += [f"if (has_{field.name}) {{", f"    const std::size_t start = out.begin_tagged({field.tag});"]
        lines += ["    " + line for line in _field(field, field.tagged_versions(possible), tagged=True)]
        lines += ["    out.end_tagged(start);", "}"]
    return lines


def not_default(field):
    """Whether a tagged field has to be told: Kafka leaves out what has its default."""
    source = f"from.{field.name}"
    if field.optional:
        if field.default == "null":
            return f"{source}.has_value()"
        inner = f"{source}->empty()" if not field.is_struct or field.array else (
            f"*{source} == {field.message.name}::{field.type}{{}}")
        return f"!{source} || !({inner})"
    if field.array or field.type in ("string", "bytes"):
        return f"!{source}.empty()"
    if field.is_struct:
        return f"!({source} == {field.message.name}::{field.type}{{}})"
    if field.type == "uuid":
        return f"!{source}.is_zero()"
    if field.type == "bool":
        return f"!{source}" if field.default == "true" else source
    default = int(field.default, 0) if field.default else 0
    return f"{source} != {'INT32_MIN' if default == -2**31 else default}"
