"""The rules. Each is a function from a Tree to findings; RULES lists them."""

import dataclasses
import fnmatch
import posixpath
import re

import cpp

FILE_LINES_MAX = 1000
FILE_LINES_ASKED_WHY = 500
FUNCTION_LINES_MAX = 70
ADR_LINES_MAX = 60


@dataclasses.dataclass(frozen=True)
class Finding:
    path: str
    line: int
    rule: str
    message: str
    is_warning: bool = False

    def __str__(self):
        return f"{self.path}:{self.line}: {'warning, ' if self.is_warning else ''}{self.rule}: {self.message}"


@dataclasses.dataclass(frozen=True)
class Banned:
    pattern: str
    instead: str
    allowed: tuple = ()  # paths where it may stand
    only: tuple = ()  # paths where it may not; empty: everywhere under src/


# What must not be written, and what is written instead.
BANNED = (
    Banned(r"std::chrono::(system|steady|high_resolution)_clock", "take a Clock (base/clock.h)", ("src/base/clock.*",)),
    Banned(r"\b(clock_gettime|gettimeofday)\(|\btime\(nullptr\)", "take a Clock (base/clock.h)", ("src/base/clock.*",)),
    Banned(r"\b(sleep_for|sleep_until|usleep|nanosleep)\b|(?<!\w)::sleep\(", "arm a Timer, or wait on a condition"),
    Banned(r"std::(random_device|mt19937\w*|rand)\b|(?<![\w:.>])s?rand\(", "take a Random (base/random.h)", ("src/base/random.*",)),
    Banned(r"(?<!\w)::socket\(", "listen through server/socket_server.h", ("src/server/socket_server.cc", "src/console/http_listener.cc", "*_test.cc", "*_bench.cc")),
    Banned(r"#include <(iostream|cassert|assert\.h)>|(?<![\w_])assert\(", "fmt for text, ODR_ASSERT for invariants"),
    Banned(r"\b(asio|boost)::|#include <boost/", "nothing from Boost: docs/adr/0002-reactor.md"),
    Banned(r"#include <fmt/(format|ranges|chrono|ostream)\.h>", "fmt/core.h in headers, for the sake of compile time",
           ("*/test_*.h",), only=("*.h",)),
    Banned(r"^\s*using namespace\b", "name what you use", only=("*.h",)),
    Banned(r"\b(sprintf|strcpy|strcat|gets|atoi|atol|strtok)\(", "fmt::format, std::from_chars, std::string_view"),
    Banned(r"\bnew std::thread\b|\.detach\(\)", "own the thread and join it"),
    # GCC 12 miscompiles an await inside a larger expression.
    Banned(r"(?<!operator )\bco_await\b(?<!^co_await)(?<![=;{}] co_await)(?<!\) co_await)(?<!else co_await)(?<!^ co_await)",
           "co_await is a statement of its own or the initialiser of a variable"),
    # It also destroys twice what such a brace initialises.
    Banned(r"\bco_await [^;]*([(,] ?\{|\w\{\.)", "no {...} as an argument within a co_await: make it a variable first"),
)
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))")
VAGUE_NAMES = {"utils", "util", "common", "helpers", "helper", "misc"}


def check(tree):
    return sorted((each for rule in RULES for each in rule(tree)), key=lambda each: (each.path, each.line))


# --- layers

def layers_of(tree):
    """Layer -> the layers it may include, from the list in CMakeLists.txt."""
    layers = {}
    for name, rest in re.findall(r"odradek_layer\((\w+)([^)]*)\)", tree.texts.get("CMakeLists.txt", "")):
        uses = re.search(r"\bUSES\b([^A-Z]*)", rest)
        layers[name] = set(uses.group(1).split() if uses else ()) | {name}
    return layers


def layers(tree):
    known = layers_of(tree)
    for path, text in tree.cpp().items():
        layer = path.split("/")[1]
        if layer not in known:
            yield Finding(path, 1, "layers", f"{layer} is no layer of CMakeLists.txt")
            continue
        for number, line in enumerate(text.splitlines(), 1):
            included = re.match(r'#include "([^"]+)"', line)
            if not included:
                continue
            target = included.group(1)
            upon = target.split("/")[0]
            if "/" not in target or upon not in known:
                yield Finding(path, number, "layers", f'"{target}": name the layer, as in "{layer}/{target}"')
            elif upon not in known[layer]:
                yield Finding(path, number, "layers", f"{layer} may not include {upon}, which it does not use in CMakeLists.txt")
            elif f"src/{target}" not in tree.paths and "/generated/" not in target:
                yield Finding(path, number, "layers", f"there is no src/{target}")


def layer_readmes(tree):
    for layer in layers_of(tree):
        if f"src/{layer}" in tree.paths and f"src/{layer}/README.md" not in tree.paths:
            yield Finding(f"src/{layer}", 1, "readme", "a layer has a README.md: its promise, its files in reading order")


# --- what files say

def sizes(tree):
    for path, text in tree.texts.items():
        count = text.count("\n")
        if path.endswith((".cc", ".h", ".py")) and count > FILE_LINES_MAX:
            yield Finding(path, 1, "size", f"{count} lines; {FILE_LINES_MAX} is the limit: split it by concern")
        elif path.endswith((".cc", ".h")) and count > FILE_LINES_ASKED_WHY:
            yield Finding(path, 1, "size", f"{count} lines; over {FILE_LINES_ASKED_WHY} review asks why", is_warning=True)
        elif re.match(r"docs/adr/\d", path) and count > ADR_LINES_MAX:
            yield Finding(path, 1, "size", f"{count} lines; a decision takes at most {ADR_LINES_MAX}")


def functions(tree):
    for path, text in tree.cpp("").items():
        for each in cpp.functions(text):
            if each.line_count > FUNCTION_LINES_MAX:
                name = re.search(r"([\w:~]+)\s*\(", each.head)
                yield Finding(path, each.first_line, "function",
                              f"{name.group(1) if name else each.head} has {each.line_count} lines; {FUNCTION_LINES_MAX} is the limit")


def _matches(path, patterns):
    return any(fnmatch.fnmatch(path, pattern) for pattern in patterns)


def banned_words(tree):
    for path, text in tree.cpp().items():
        lines = cpp.without_comments(text).splitlines()
        for rule in BANNED:
            if _matches(path, rule.allowed) or (rule.only and not _matches(path, rule.only)):
                continue
            for number, line in enumerate(lines, 1):
                if re.search(rule.pattern, " ".join(line.split()) if "co_await" in rule.pattern else line):
                    yield Finding(path, number, "banned", f"`{line.strip()[:60]}`: {rule.instead}")


def unfinished(tree):
    for path, text in tree.texts.items():
        if not path.startswith(("src/", "tests/", "bench/")) or "testdata" in path or not path.endswith((".cc", ".h", ".py", ".java")):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if UNFINISHED.search(line):
                yield Finding(path, number, "unfinished", "name the issue, as in TODO(#12), or finish it")


def headers(tree):
    for path, text in tree.cpp("").items():
        if path.endswith(".h") and "#pragma once" not in text:
            yield Finding(path, 1, "header", "#pragma once is missing")


def names(tree):
    for path in sorted(tree.paths):
        if not path.startswith("src/"):
            continue
        stem = posixpath.basename(path).split(".")[0]
        if stem.lower() in VAGUE_NAMES:
            yield Finding(path, 1, "name", f"{stem} says nothing: name the concern")


# --- what documents say

_FILE_NAME = re.compile(r"^[\w.*/-]+\.(h|cc|py|inc|schema|keys|java|sh|md|cmake)$")


def _resolves(tree, folder, name):
    options = [posixpath.normpath(posixpath.join(folder, name)), f"src/{name}", name]
    if "*" in name:
        return any(fnmatch.fnmatch(path, option) for option in options for path in tree.paths)
    return any(option in tree.paths for option in options) or _is_generated(tree, name)


def _is_generated(tree, name):
    return any(name in text for path, text in tree.texts.items() if path.startswith("src/") and path.endswith(".py"))


def documented_files(tree):
    """Files that a document names in backticks exist: README.md of a layer, and whatever else stands in the tree."""
    for path, text in tree.texts.items():
        if not path.endswith(".md") or "testdata" in path:
            continue
        folder = posixpath.dirname(path)
        for number, line in enumerate(text.splitlines(), 1):
            for name in re.findall(r"`([^`\s]+)`", line):
                is_path = _FILE_NAME.match(name) and (folder.startswith("src") or "/" in name)
                is_example = name.startswith(("build/", "/")) or "LAYER" in name or re.match(r"x[._]", posixpath.basename(name))
                if is_path and not is_example and not _resolves(tree, folder, name):
                    yield Finding(path, number, "document", f"there is no {name}")


def links(tree):
    for path, text in tree.texts.items():
        if not path.endswith(".md"):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            for target in re.findall(r"\]\(([^)#\s]+)", line):
                if ":" in target:
                    continue
                if posixpath.normpath(posixpath.join(posixpath.dirname(path), target)) not in tree.paths:
                    yield Finding(path, number, "link", f"{target} leads nowhere")


RULES = (layers, layer_readmes, sizes, functions, banned_words, unfinished, headers, names, documented_files, links)
