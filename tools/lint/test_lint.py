#!/usr/bin/env python3
"""Each rule finds what it is for, and lets the right form pass. Also tools/tally.py. Run it alone, or by ./dev lint."""

import pathlib
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import cpp  # noqa: E402
import rules  # noqa: E402
import tally  # noqa: E402
from tree import Tree  # noqa: E402

LAYERS = "odradek_layer(base LINKS fmt::fmt)\nodradek_layer(io USES base)\nodradek_layer(log USES base io)\n"
READMES = {f"src/{layer}/README.md": "" for layer in ("base", "io", "log")}


def found(rule, **files):
    """What a rule says of some files; `src__io__a_h` stands for src/io/a.h."""
    texts = {name.replace("__", "/").replace("_md", ".md"): text for name, text in files.items()}
    texts = {path if "." in path else ".".join(path.rsplit("_", 1)): text for path, text in texts.items()}
    return [f"{each.path}:{each.line}" for each in rule(Tree.of({"CMakeLists.txt": LAYERS, **texts}))]


class Layers(unittest.TestCase):
    def test_including_downwards_is_fine(self):
        self.assertEqual(found(rules.layers, src__io__a_h='#include "base/b.h"\n#include <vector>\n', src__base__b_h=""), [])

    def test_including_upwards_is_found(self):
        self.assertEqual(found(rules.layers, src__base__b_h='\n#include "io/a.h"\n', src__io__a_h=""), ["src/base/b.h:2"])

    def test_a_header_that_is_not_there_is_found(self):
        self.assertEqual(found(rules.layers, src__io__a_cc='#include "base/gone.h"\n'), ["src/io/a.cc:1"])

    def test_an_include_without_its_layer_is_found(self):
        self.assertEqual(found(rules.layers, src__io__a_cc='#include "a.h"\n', src__io__a_h=""), ["src/io/a.cc:1"])

    def test_a_folder_that_is_no_layer_is_found(self):
        self.assertEqual(found(rules.layers, src__nolayer__a_cc=""), ["src/nolayer/a.cc:1"])

    def test_a_layer_without_readme_is_found(self):
        self.assertEqual(found(rules.layer_readmes, src__io__a_cc="", src__base__README_md=""), ["src/io:1"])


class Functions(unittest.TestCase):
    def lengths(self, text):
        return [(each.head.split("(")[0].split()[-1], each.line_count) for each in cpp.functions(text)]

    def test_a_function_is_counted_from_its_head_to_its_brace(self):
        self.assertEqual(self.lengths("int f(int a,\n      int b) {\n  return a;\n}\n"), [("f", 4)])

    def test_control_blocks_belong_to_their_function(self):
        self.assertEqual(self.lengths("void f() {\n if (x) {\n  y();\n }\n}\nvoid g() {}\n"), [("f", 5), ("g", 1)])

    def test_constructors_with_brace_initialisers_are_one_function(self):
        self.assertEqual(self.lengths("A::A(int x) : x_{x},\n  y_{std::vector<int>{1}} {\n go();\n}\nvoid g() {}\n"), [("A::A", 4), ("g", 1)])

    def test_members_of_classes_and_namespaces_are_found(self):
        self.assertEqual(self.lengths("namespace n {\nclass C {\n public:\n  int f() const { return 1; }\n};\n}\n"), [("f", 1)])

    def test_tables_are_no_functions(self):
        self.assertEqual(self.lengths("constexpr auto t = to_array<int>({\n 1,\n 2,\n});\nint x[] = {f(1),\n 2};\n"), [])

    def test_braces_in_strings_comments_and_directives_do_not_count(self):
        text = "#define M(x) { x\nvoid f() {\n  // }\n  a(\"}\");\n  b('}');\n  c(R\"(})\");\n  d(1'000);\n}\nvoid g() {}\n"
        self.assertEqual(self.lengths(text), [("f", 7), ("g", 1)])

    def test_the_limit_is_70_lines(self):
        def body(lines):
            return "void f() {\n" + "  x();\n" * (lines - 2) + "}\n"

        self.assertEqual(found(rules.functions, src__io__a_cc=body(70)), [])
        self.assertEqual(found(rules.functions, src__io__a_cc=body(71)), ["src/io/a.cc:1"])


class Words(unittest.TestCase):
    BAD = (
        "auto t = std::chrono::system_clock::now();",
        "std::this_thread::sleep_for(1ms);",
        "int fd = ::socket(AF_INET, SOCK_STREAM, 0);",
        "std::random_device seed;",
        "#include <iostream>",
        "f(co_await g());",
        "co_return co_await g();",
        "if (!co_await g()) return;",
        "co_await g({}, x);",
        "const auto x = co_await g(Asked{.name = y});",
    )
    GOOD = (
        "const auto t = clock.now();",
        "// std::chrono::system_clock is not for us",
        'static_assert(ok, "stands in a co_await and dies");',
        "co_await g();",
        "const auto x = co_await g();",
        "if (needed) co_await g();",
        "co_await BlockAwaiter{*this};",
        "const auto x = co_await pool.run([&](io::MayBlock) { return g(); });",
        "auto operator co_await() && noexcept {",
    )

    def test_each_banned_word_is_found(self):
        for line in self.BAD:
            with self.subTest(line):
                self.assertEqual(found(rules.banned_words, src__io__a_cc=line + "\n"), ["src/io/a.cc:1"])

    def test_their_replacements_and_comments_pass(self):
        for line in self.GOOD:
            with self.subTest(line):
                self.assertEqual(found(rules.banned_words, src__io__a_cc=line + "\n"), [])

    def test_the_clock_itself_may_ask_the_system(self):
        self.assertEqual(found(rules.banned_words, src__base__clock_cc="std::chrono::steady_clock::now();\n"), [])

    def test_using_namespace_is_banned_in_headers_only(self):
        self.assertEqual(found(rules.banned_words, src__io__a_h="using namespace std;\n", src__io__a_cc="using namespace std;\n"),
                         ["src/io/a.h:1"])

    def test_unfinished_work_names_its_issue(self):
        self.assertEqual(found(rules.unfinished, src__io__a_cc="// TODO later\n// TODO(#7): later\n"), ["src/io/a.cc:1"])


class Files(unittest.TestCase):
    def test_a_header_needs_pragma_once(self):
        self.assertEqual(found(rules.headers, src__io__a_h="int x;\n"), ["src/io/a.h:1"])

    def test_a_thousand_lines_are_the_limit_and_500_a_warning(self):
        def verdicts(count):
            return [each.is_warning for each in rules.sizes(Tree.of({"src/io/a.cc": "\n" * count}))]

        self.assertEqual([verdicts(500), verdicts(501), verdicts(1001)], [[], [True], [False]])

    def test_a_decision_takes_60_lines(self):
        self.assertEqual([each.path for each in rules.sizes(Tree.of({"docs/adr/0001-x.md": "\n" * 61}))], ["docs/adr/0001-x.md"])

    def test_names_that_say_nothing_are_found(self):
        self.assertEqual(found(rules.names, src__io__utils_h=""), ["src/io/utils.h:1"])

    def test_a_readme_names_files_that_exist(self):
        self.assertEqual(found(rules.documented_files, src__io__README_md="`a.h`\n`gone.h`\n`*.h`\n", src__io__a_h=""),
                         ["src/io/README.md:2"])

    def test_links_lead_somewhere(self):
        self.assertEqual(found(rules.links, docs__x_md="[a](y.md) [b](gone.md) [c](https://example.org)\n", docs__y_md=""),
                         ["docs/x.md:1"])


class Tally(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.results = pathlib.Path(folder.name)

    def write(self, name, text):
        path = self.results / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def count(self, part, status):
        return str(tally.count_part(self.results, part, status))

    def test_a_part_without_results_is_one_test(self):
        self.assertEqual(self.count("lint", 0), "1 passed, 0 failed")
        self.assertEqual(self.count("lint", 3), "0 passed, 1 failed")
        self.assertEqual(self.count("lint", 77), "0 passed, 0 failed, 1 skipped")

    def test_a_build_counts_only_when_it_fails(self):
        self.assertEqual([self.count("build", 0), self.count("build", 1)], ["0 passed, 0 failed", "0 passed, 1 failed"])

    def test_junit_cases_are_counted(self):
        self.write("wire.xml", "<testsuites><testsuite><testcase/><testcase><failure/></testcase><testcase><skipped/></testcase>"
                               "</testsuite></testsuites>")
        self.assertEqual(self.count("wire", 1), "1 passed, 1 failed, 1 skipped")

    def test_a_part_that_ended_badly_has_a_failure_whatever_it_wrote(self):
        self.write("wire.xml", "<testsuites><testsuite><testcase/></testsuite></testsuites>")
        self.assertEqual(self.count("wire", 2), "1 passed, 1 failed")

    def test_programs_are_counted_by_their_cases_and_crashed_ones_as_one_failure(self):
        self.write("unit-ctest.xml", '<testsuite><testcase name="unit.base" status="run"/>'
                                     '<testcase name="unit.io" status="fail"><failure/></testcase></testsuite>')
        self.write("unit-gtest/odr_base_test.xml", '<testsuites><testsuite><testcase status="run"/><testcase status="run"/>'
                                                   "</testsuite></testsuites>")
        self.assertEqual(self.count("unit", 8), "2 passed, 1 failed")


if __name__ == "__main__":
    unittest.main()
