"""Reads the schema files: plain text, one message per file (see src/protocol/README.md for the form)."""

import dataclasses
import pathlib

VERSION_MAX = 32767


@dataclasses.dataclass(frozen=True)
class Versions:
    """A closed range of versions; empty where low > high."""

    low: int
    high: int

    @staticmethod
    def parse(text):
        if text == "none":
            return Versions(1, 0)
        if text.endswith("+"):
            return Versions(int(text[:-1]), VERSION_MAX)
        low, _, high = text.partition("-")
        return Versions(int(low), int(high or low))

    def empty(self):
        return self.low > self.high

    def intersect(self, other):
        return Versions(max(self.low, other.low), min(self.high, other.high))

    def covers(self, other):
        return self.low <= other.low and other.high <= self.high

    def hull(self, other):
        if self.empty() or other.empty():
            return other if self.empty() else self
        return Versions(min(self.low, other.low), max(self.high, other.high))


NONE = Versions(1, 0)


@dataclasses.dataclass
class Field:
    name: str
    type: str  # without the "[]" of an array
    array: bool
    versions: Versions
    tag: int | None = None
    tagged: Versions = NONE
    nullable: Versions = NONE
    flexible: Versions | None = None  # an override, against the message's own
    default: str = ""
    ignorable: bool = False
    key: bool = False
    zero_copy: bool = False


@dataclasses.dataclass
class Struct:
    name: str
    versions: Versions
    fields: list


@dataclasses.dataclass
class Message:
    kind: str
    name: str
    key: int | None
    versions: Versions
    flexible: Versions
    listeners: list
    latest_version_unstable: bool
    fields: list
    structs: list  # every nested struct, in the order of the file


class SchemaError(Exception):
    pass


def load(directory):
    """Gives every message of the directory, ordered by file name."""
    return [read(path) for path in sorted(pathlib.Path(directory).glob("*.schema"))]


def read(path):
    try:
        return _Parser(path.read_text()).message()
    except (ValueError, IndexError, SchemaError) as error:
        raise SystemExit(f"{path}: {error}") from error


class _Parser:
    def __init__(self, text):
        lines = (line.split("#")[0].split() for line in text.splitlines())
        self.lines = [words for words in lines if words]
        self.at = 0
        self.structs = []

    def message(self):
        kind, name, *key = self._next()
        word, versions, flexible_word, flexible = self._next()
        if (word, flexible_word) != ("versions", "flexible"):
            raise SchemaError("the second line says: versions V flexible V")
        listeners = self._next()[1:] if self._peek("listeners") else []
        unstable = bool(self._peek("latest-version-unstable") and self._next())
        fields = self._fields(end=None)
        return Message(kind, name, int(key[0]) if key else None, Versions.parse(versions), Versions.parse(flexible),
                       listeners, unstable, fields, self.structs)

    def _peek(self, word):
        return self.at < len(self.lines) and self.lines[self.at][0] == word

    def _next(self):
        self.at += 1
        return self.lines[self.at - 1]

    def _fields(self, end):
        fields = []
        while self.at < len(self.lines):
            words = self._next()
            if words == [end]:
                return fields
            if words[0] == "struct" and end is None:
                self._struct(words[1], Versions.parse(words[2]))
                continue
            opens = words[-1] == "{"
            field = _field(words[:-1] if opens else words)
            fields.append(field)
            if opens:
                self._struct(field.type, field.versions)
        if end is not None:
            raise SchemaError("a closing brace is missing")
        return fields

    def _struct(self, name, versions):
        place = len(self.structs)
        self.structs.insert(place, Struct(name, versions, self._fields(end="}")))


def _field(words):
    name, kind, versions, *rest = words
    field = Field(name, kind.removeprefix("[]"), kind.startswith("[]"), Versions.parse(versions))
    for word in rest:
        what, has_value, value = word.partition("=")
        if what == "tag":
            tag, _, tagged = value.partition("@")
            field.tag, field.tagged = int(tag), Versions.parse(tagged or versions)
        elif what == "null":
            field.nullable = Versions.parse(value)
        elif what == "flexible":
            field.flexible = Versions.parse(value)
        elif what == "default":
            field.default = value
        elif what in ("ignorable", "key", "zero-copy") and not has_value:
            setattr(field, what.replace("-", "_"), True)
        else:
            raise SchemaError(f"field {name}: what is '{word}'?")
    return field
