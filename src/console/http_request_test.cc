#include "console/http_request.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

namespace odr::console {
namespace {

// "GET /path", "HEAD /path", "400", or "more".
std::string outcome(std::string_view received) {
    const auto request = parse_http_request(received);
    if (!request) return "more";
    if (request->refused_with != 0) return fmt::to_string(request->refused_with);
    return fmt::format("{} {}", request->is_head ? "HEAD" : "GET", request->path);
}

struct Case {
    const char* name;
    std::string received;
    const char* want;
};

const std::string kHost = "Host: a\r\n\r\n";
const std::string kFill(kHttpHeadBytesMax, 'x');

const Case kCases[] = {
    {"Prometheus asks", "GET /metrics HTTP/1.1\r\nHost: a:9404\r\nAccept: text/plain;version=0.0.4\r\n\r\n",
     "GET /metrics"},
    {"the headers alone", "HEAD /metrics HTTP/1.1\r\n" + kHost, "HEAD /metrics"},
    {"HTTP/1.0 needs no host", "GET / HTTP/1.0\r\n\r\n", "GET /"},
    {"a query is cut off", "GET /metrics?name[]=a HTTP/1.1\r\n" + kHost, "GET /metrics"},
    {"the form for proxies", "GET HTTP://a:1/metrics HTTP/1.1\r\n" + kHost, "GET /metrics"},
    {"the form for proxies without a path", "GET http://a HTTP/1.1\r\n" + kHost, "GET /"},
    {"bare line feeds", "GET /metrics HTTP/1.1\nHost: a\n\n", "GET /metrics"},
    {"blank lines before it", "\r\n\nGET /metrics HTTP/1.1\r\n" + kHost, "GET /metrics"},
    {"a second one behind it", "GET /a HTTP/1.1\r\n" + kHost + "GET /b HTTP/1.1\r\n" + kHost, "GET /a"},
    {"anything behind it", "GET /a HTTP/1.1\r\n" + kHost + std::string{"\0\x16\r\x7f", 4}, "GET /a"},
    {"letters beyond ASCII in a header", "GET /a HTTP/1.1\r\nX: \xc3\xa9\xff\r\n" + kHost, "GET /a"},

    {"nothing yet", "", "more"},
    {"no end of the line yet", "GET /metrics HTTP/1.1", "more"},
    {"half an end of the line", "GET /metrics HTTP/1.1\r", "more"},
    {"no blank line yet", "GET /metrics HTTP/1.1\r\nHost: a\r\n", "more"},
    {"what will be refused is heard out", "PUT /metrics HTTP/1.1\r\nHost: a\r\n", "more"},
    {"blank lines only", "\r\n\r\n\r\n", "more"},

    {"another method", "POST /metrics HTTP/1.1\r\n" + kHost, "405"},
    {"methods are case-sensitive", "get /metrics HTTP/1.1\r\n" + kHost, "405"},
    {"a method that is none", "G(T /metrics HTTP/1.1\r\n" + kHost, "400"},
    {"no method", " /metrics HTTP/1.1\r\n" + kHost, "400"},
    {"no version", "GET /metrics\r\n" + kHost, "400"},
    {"HTTP/2 without an agreement", "PRI * HTTP/2.0\r\n\r\n", "505"},
    {"a version that is none", "GET /metrics HTTP/11\r\n" + kHost, "400"},
    {"a blank in the target", "GET /met rics HTTP/1.1\r\n" + kHost, "400"},
    {"a target that is no path", "GET metrics HTTP/1.1\r\n" + kHost, "400"},
    {"an empty target", "GET  HTTP/1.1\r\n" + kHost, "400"},
    {"no host", "GET /metrics HTTP/1.1\r\n\r\n", "400"},
    {"two hosts", "GET /metrics HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n", "400"},
    {"a folded header", "GET /metrics HTTP/1.1\r\nX: a\r\n b\r\n" + kHost, "400"},
    {"a blank before the colon", "GET /metrics HTTP/1.1\r\nX : a\r\n" + kHost, "400"},
    {"a header without a colon", "GET /metrics HTTP/1.1\r\nX\r\n" + kHost, "400"},
    {"a carriage return alone", "GET /metrics HTTP/1.1\rX: a", "400"},
    {"a zero byte", "GET /metrics HTTP/1.1\r\nX: " + std::string{"\0", 1}, "400"},
    {"a TLS handshake, at once", std::string{"\x16\x03\x01\x02", 4}, "400"},

    {"a line without end", "GET /" + kFill, "431"},
    {"headers without end", "GET / HTTP/1.1\r\nX: " + kFill, "431"},
    {"blank lines without end", std::string(kHttpHeadBytesMax, '\n'), "431"},
    {"an end after the bound", "GET / HTTP/1.0\r\nX: " + kFill + "\r\n\r\n", "431"},
};

TEST(HttpRequest, IsReadAsTheTableSays) {
    for (const Case& each : kCases) EXPECT_EQ(outcome(each.received), each.want) << each.name;
}

TEST(HttpRequest, ThatFillsTheBoundIsReadAndOneByteMoreIsRefused) {
    const std::string begin = "GET /metrics HTTP/1.0\r\nX: ";
    const std::string end = "\r\n\r\n";
    const std::string fits = begin + std::string(kHttpHeadBytesMax - begin.size() - end.size(), 'x') + end;
    EXPECT_EQ(outcome(fits), "GET /metrics");
    EXPECT_EQ(outcome(begin + "x" + fits.substr(begin.size())), "431");
}

TEST(HttpRequest, InPartsIsDecidedOnceAndAsAWhole) {
    for (const Case& each : kCases) {
        std::string decided = "more";
        const std::size_t step = each.received.size() > 1'000 ? 61 : 1;
        for (std::size_t size = 0; size <= each.received.size(); size += step) {
            const std::string now = outcome(std::string_view{each.received}.substr(0, size));
            if (decided != "more") {
                EXPECT_EQ(now, decided) << each.name << " after " << size;
            }
            decided = now;
        }
        if (decided != "more") {
            EXPECT_EQ(decided, each.want) << each.name;
        }
    }
}

}  // namespace
}  // namespace odr::console
