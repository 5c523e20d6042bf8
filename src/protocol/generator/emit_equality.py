"""Comparison of structs that hold views of bytes: those compare what they see, so they cannot be defaulted."""


def equality(message):
    lines = []
    for struct in message.structs:
        if not any(field.type == "bytes" for field in struct.fields):
            continue
        checks = [_check(field) for field in struct.fields]
        function = [f"bool operator==(const {struct.name}& a, const {struct.name}& b) {{",
                    "    return " + " && ".join(checks) + ";", "}"]
        if not struct.top:
            space = message.types_namespace
            function = [f"namespace {space} {{"] + function + [f"}}  // namespace {space}"]
        lines += function + [""]
    return lines


def _check(field):
    if field.type == "bytes":
        return f"same_bytes(a.{field.name}, b.{field.name})"
    return f"a.{field.name} == b.{field.name}"
