#!/usr/bin/env python3
"""Our own rules, over the whole tree: lint.py [root]. Prints `path:line: rule: what to do`; exit code 1 if there is any.

The rules live in rules.py and text.py; test_lint.py holds each against an example of what it must find.
"""

import pathlib
import subprocess
import sys

import rules
from tree import Tree

ROOT = pathlib.Path(__file__).resolve().parents[2]


def generated_docs_are_current(root):
    script = root / "tools" / "compatibility.py"
    if not script.exists():
        return []
    done = subprocess.run([sys.executable, "-B", script, "--check"], check=False, capture_output=True, text=True)
    return [] if done.returncode == 0 else [rules.Finding("docs/compatibility.md", 1, "generated", done.stdout.strip())]


def main(arguments):
    root = pathlib.Path(arguments[0]) if arguments else ROOT
    tree = Tree.read(root)
    findings = rules.check(tree) + generated_docs_are_current(root)
    warnings = [each for each in findings if each.is_warning]
    errors = [each for each in findings if not each.is_warning]
    for each in warnings + errors:
        print(each)
    print(f"lint: {len(tree.texts)} files, {len(errors)} errors, {len(warnings)} warnings")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
