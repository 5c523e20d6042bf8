"""What the emitters need to know about the messages: C++ names and types, which versions can meet which field, sizes."""

import dataclasses
import re

from schema import NONE, Versions

FIXED = {  # type -> (C++ type, bytes on the wire)
    "bool": ("bool", 1),
    "int8": ("std::int8_t", 1),
    "int16": ("std::int16_t", 2),
    "uint16": ("std::uint16_t", 2),
    "int32": ("std::int32_t", 4),
    "uint32": ("std::uint32_t", 4),
    "int64": ("std::int64_t", 8),
    "float64": ("double", 8),
    "uuid": ("Uuid", 16),
}
VARIABLE = {"string": "std::string_view", "bytes": "ByteView", "records": "Records"}
KEYWORDS = {"operator", "default", "delete", "class", "namespace", "new", "template", "typename", "union", "switch"}


def snake_case(name):
    name = name.replace("KRaft", "Kraft")
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    name = re.sub(r"([A-Z])([A-Z][a-z])", r"\1_\2", name).lower()
    return name + "_" if name in KEYWORDS else name


class Field:
    """A field of a struct, seen from the versions in which the struct is read or written."""

    def __init__(self, field, struct, message):
        self.schema = field
        self.struct = struct
        self.message = message
        self.name = snake_case(field.name)
        self.type = field.type
        self.array = field.array
        self.default = field.default
        self.tag = field.tag
        self.is_struct = field.type not in FIXED and field.type not in VARIABLE
        self.fixed_size = FIXED[field.type][1] if field.type in FIXED and not field.array else None
        # `records` carries its own null.
        self.optional = not field.nullable.empty() and (field.array or field.type != "records")

    def label(self):
        owner = self.message.name if self.struct.top else f"{self.message.name}.{self.struct.name}"
        return f"{owner}.{self.schema.name}"

    def element_type(self):
        return FIXED[self.type][0] if self.type in FIXED else VARIABLE.get(self.type, self.type)

    def untagged_versions(self, possible):
        """Versions in which the field stands at its place in the struct. A tagged range is always open-ended."""
        versions = self.schema.versions
        if self.tag is not None:
            versions = versions.intersect(Versions(0, self.schema.tagged.low - 1))
        return versions.intersect(possible)

    def tagged_versions(self, possible):
        return NONE if self.tag is None else self.schema.tagged.intersect(possible)

    def flexible_versions(self):
        return self.message.flexible if self.schema.flexible is None else self.schema.flexible


class Struct:
    def __init__(self, name, fields, message, top):
        self.name = name
        self.message = message
        self.top = top
        self.fields = [Field(field, self, message) for field in fields]
        self.possible = NONE  # the versions in which anything refers to it

    def tagged_fields(self):
        return sorted((f for f in self.fields if f.tag is not None), key=lambda f: f.tag)

    def cpp_name(self):
        return self.name if self.top else f"{self.message.name}::{self.name}"


class Message:
    def __init__(self, schema):
        self.schema = schema
        self.kind = schema.kind
        self.name = schema.name
        self.key = schema.key
        self.versions = schema.versions
        self.flexible = schema.flexible
        self.file = snake_case(schema.name)
        self.types_namespace = self.file + "_types"
        self.top = Struct(schema.name, schema.fields, self, True)
        nested = {struct.name: Struct(struct.name, struct.fields, self, False) for struct in schema.structs}
        if len(nested) != len(schema.structs):
            raise SystemExit(f"{self.name}: two structs of one name")
        self.structs = self._inner_first(nested) + [self.top]
        self._spread_versions(nested)

    def _inner_first(self, nested):
        ordered = []

        def visit(struct):
            for field in struct.fields:
                if field.is_struct:
                    if field.type not in nested:
                        raise SystemExit(f"{field.label()}: no struct {field.type}")
                    visit(nested[field.type])
            if not struct.top and struct not in ordered:
                ordered.append(struct)

        visit(self.top)
        return ordered

    def _spread_versions(self, nested):
        self.top.possible = self.versions
        for struct in reversed(self.structs):
            for field in struct.fields:
                if field.is_struct:
                    inner = nested[field.type]
                    inner.possible = inner.possible.hull(field.schema.versions.intersect(struct.possible))

    def struct(self, name):
        return next(s for s in self.structs if s.name == name and not s.top)

    def weight(self):
        return sum(len(s.fields) for s in self.structs)

    def min_size(self, field):
        """The fewest bytes an element of the array `field` can take, in any version; at least 1."""
        if field.type in FIXED:
            return FIXED[field.type][1]
        if not field.is_struct:
            return 1 if not self.flexible.empty() else (2 if field.type == "string" else 4)
        struct = self.struct(field.type)
        if struct.possible.empty():
            return 1
        versions = range(struct.possible.low, struct.possible.high + 1)
        return max(1, min(self._struct_min_size(struct, version) for version in versions))

    def _struct_min_size(self, struct, version):
        at = Versions(version, version)
        size = 1 if self.flexible.covers(at) else 0
        for field in struct.fields:
            if not field.untagged_versions(at).empty():
                size += self._field_min_size(field, at)
        return size

    def _field_min_size(self, field, at):
        if field.fixed_size:
            return field.fixed_size
        flexible = field.flexible_versions().covers(at)
        if field.array or not field.is_struct:
            return 1 if flexible else (2 if field.type == "string" and not field.array else 4)
        return 1 if field.optional else self._struct_min_size(self.struct(field.type), at.low)


@dataclasses.dataclass
class Condition:
    """Whether `version` lies in a range, given the versions that are possible at all."""

    always: bool
    never: bool
    text: str


def condition(wanted, possible):
    inside = wanted.intersect(possible)
    if inside.empty():
        return Condition(False, True, "false")
    if inside == possible:
        return Condition(True, False, "true")
    if inside.low == possible.low:
        return Condition(False, False, f"version <= {inside.high}")
    if inside.high == possible.high:
        return Condition(False, False, f"version >= {inside.low}")
    if inside.low == inside.high:
        return Condition(False, False, f"version == {inside.low}")
    return Condition(False, False, f"version >= {inside.low} && version <= {inside.high}")


def uses(code, variable):
    """Whether the code names the variable, and not only a member of that name."""
    without_literals = re.sub(r'"[^"]*"', '""', code)
    return re.search(rf"(?<![.\w]){variable}\b", without_literals) is not None


def default_value(field):
    """The C++ initialiser; empty where the type's own default is Kafka's."""
    text = field.default
    if field.optional:
        if text == "null":
            return " = std::nullopt"
        return "{std::in_place}"
    if field.array or field.is_struct or field.type == "records":
        return ""
    if field.type == "bool":
        return " = true" if text == "true" else " = false"
    if field.type in ("uuid", "string", "bytes"):
        if text:
            raise SystemExit(f"{field.label()}: a default of type {field.type} is not supported")
        return "{}" if field.type == "uuid" else ""
    number = int(text, 0) if text else 0
    if field.type == "int32" and number == -2**31:
        return " = INT32_MIN"
    return f" = {number}"
