"""Just enough of C++ to find functions and to tell code from comments. Not a parser: it counts braces."""

import dataclasses
import re

_BLANKED = re.compile(
    r"""//[^\n]*|/\*.*?\*/|R"(?P<tag>[^(\s]*)\(.*?\)(?P=tag)"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+'""", re.DOTALL
)
_CONTROL = re.compile(r"^(if|for|while|switch|catch|do|else|try|return|namespace|class|struct|enum|union|extern|template)\b")
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", re.MULTILINE)


@dataclasses.dataclass
class Function:
    head: str
    first_line: int
    last_line: int

    @property
    def line_count(self):
        return self.last_line - self.first_line + 1


def _blank(match):
    text = match.group(0)
    return re.sub(r"[^\n]", " ", text)


def without_comments(text):
    """The code with comments and strings blanked out; lines and columns stay."""

    # A digit separator is no character literal: 1'000'000.
    return _BLANKED.sub(_blank, re.sub(r"(?<=[0-9a-fA-F])'(?=[0-9a-fA-F])", "_", text))


def _is_function(head):
    """Whether a `{` after this text opens a function's body. Head: what stands since the last `;`, `{` or `}`."""
    head = re.sub(r"\b(public|private|protected)\s*:", "", head).strip()
    head = re.sub(r"^template\s*<[^{};]*?>\s*(?=[A-Za-z_\[])", "", head)
    if "(" not in head or head.count("(") > head.count(")") or _CONTROL.match(head):
        return False
    return not re.search(r"=\s*$", head)


def _is_brace_initialiser(head):
    """A member in a constructor's list: `Foo::Foo(int x) : x_` {x}."""
    after_arguments = re.search(r"\)[^()]*?(?<!:):(?!:)(?P<members>.*)$", head, re.DOTALL)
    return bool(after_arguments and re.search(r"[\w>]\s*$", after_arguments.group("members")))


def _matching(code, at):
    depth = 0
    for index in range(at, len(code)):
        if code[index] == "{":
            depth += 1
        elif code[index] == "}":
            depth -= 1
            if depth == 0:
                return index
    return len(code) - 1


def functions(text):
    """Functions at the level of namespaces and classes; lambdas count with the function they stand in."""
    code = _DIRECTIVE.sub(_blank, without_comments(text))
    found, head_from, at = [], 0, 0
    while at < len(code):
        char = code[at]
        if char == "{":
            head = code[head_from:at]
            if _is_function(head) and _is_brace_initialiser(head):
                end = _matching(code, at)
                code = code[:at] + re.sub(r"[^\n]", " ", code[at : end + 1])[:-1] + ")" + code[end + 1 :]
                at = end
            elif _is_function(head):
                end = _matching(code, at)
                start = head_from + re.match(r"(\s|(public|private|protected)\s*:)*", head).end()
                found.append(
                    Function(" ".join(head.split()), code.count("\n", 0, start) + 1, code.count("\n", 0, end) + 1)
                )
                at, head_from = end, end + 1
            else:
                head_from = at + 1
        elif char in ";}":
            head_from = at + 1
        at += 1
    return found
