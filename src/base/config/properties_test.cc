#include "base/config/properties.h"

#include <gtest/gtest.h>

#include <vector>

namespace odr::config {
namespace {

struct Case {
    std::string_view text;
    ConfigMap pairs;
};

TEST(Properties, ReadWhatJavaReads) {
    const std::vector<Case> cases{
        {"a=b", {{"a", "b"}}},
        {"a:b\nc d", {{"a", "b"}, {"c", "d"}}},
        {"  a =  b c  \n", {{"a", "b c  "}}},
        {"# x=1\n ! y=2\n\n\t\nz=3", {{"z", "3"}}},
        {"list=one,\\\n   two,\\\r\n three\nnext=4", {{"list", "one,two,three"}, {"next", "4"}}},
        {"path=c:\\\\dir\\tx", {{"path", "c:\\dir\tx"}}},
        {"ends=in\\\\\nb=2", {{"ends", "in\\"}, {"b", "2"}}},
        {"a\\ b\\=c\\:d = e", {{"a b=c:d", "e"}}},
        {"u=\\u00e9\\u20AC\\uD83D\\uDE00", {{"u", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"}}},
        {"a=1\na=2", {{"a", "2"}}},
        {"lonely", {{"lonely", ""}}},
        {"a==b", {{"a", "=b"}}},
        {"a : = b", {{"a", "= b"}}},
        {"a=b\rc=d", {{"a", "b"}, {"c", "d"}}},
        {"a=b\\", {{"a", "b"}}},
        {"a=b # c", {{"a", "b # c"}}},
        {"a=b\\\n# no comment here", {{"a", "b# no comment here"}}},
    };
    for (const Case& c : cases) {
        const auto pairs = parse_properties(c.text);
        ASSERT_TRUE(pairs) << c.text;
        EXPECT_EQ(*pairs, c.pairs) << c.text;
    }
}

TEST(Properties, AMalformedUnicodeEscapeNamesItsLine) {
    const auto pairs = parse_properties("a=1\nb=\\u12x4");
    ASSERT_FALSE(pairs);
    EXPECT_EQ(pairs.error(), "line 2: \\u wants four hexadecimal digits");
}

TEST(Properties, WhatIsWrittenReadsBackTheSame) {
    const std::vector<std::pair<std::string, std::string>> pairs{{"cluster.id", "abc=="},
                                                                 {" key with blanks ", "  led by blanks "},
                                                                 {"#!=:", "#!=:\\"},
                                                                 {"t", "\t\n\r\f"},
                                                                 {"", "x"}};
    const std::string text = write_properties(pairs, "one\ntwo");
    EXPECT_TRUE(text.starts_with("#one\n#two\ncluster.id=abc\\=\\=\n"));
    const auto read = parse_properties(text);
    ASSERT_TRUE(read);
    EXPECT_EQ(*read, ConfigMap(pairs.begin(), pairs.end()));
}

}  // namespace
}  // namespace odr::config
