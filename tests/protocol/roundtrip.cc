// odr_protocol_roundtrip make SEED PER_VERSION FILE   writes random messages of every type and version
// odr_protocol_roundtrip check FILE                   decodes and encodes each message of a file; the bytes must agree
//
// A file is a sequence of: name (2 bytes of length, then text), version (2 bytes), message (4 bytes of length, then
// bytes), all big-endian. tests/protocol/java/Judge.java reads and writes the same.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "protocol/reader.h"
#include "protocol/testing/message_ops.h"
#include "protocol/writer.h"

namespace odr::protocol {
namespace {

int make(std::uint64_t seed, int per_version, const char* path) {
    RandomSource random{seed};
    Buffer out;
    Writer writer{out};
    for (const MessageOps& ops : all_message_ops()) {
        for (std::int16_t version = ops.min_version; version <= ops.max_version; ++version) {
            for (int i = 0; i < per_version; ++i) {
                Buffer message;
                ops.make_random(random, version, message);
                writer.string(ops.name, false);
                writer.fixed(version);
                writer.bytes(message, false);
            }
        }
    }
    std::ofstream file{path, std::ios::binary};
    file.write(reinterpret_cast<const char*>(out.data()), static_cast<std::streamsize>(out.size()));
    return file.good() ? 0 : 1;
}

std::string hex(ByteView bytes) {
    std::string out;
    for (const std::uint8_t byte : bytes) out += fmt::format("{:02x}", byte);
    return out;
}

bool agrees(std::string_view name, std::int16_t version, ByteView bytes) {
    const MessageOps* ops = find_message_ops(name);
    if (ops == nullptr) {
        fmt::print("{}: no such message here\n", name);
        return false;
    }
    Buffer again;
    const auto taken = ops->reencode(bytes, version, again);
    if (!taken) {
        fmt::print("{} v{}: {}\n  {}\n", name, version, taken.error().what, hex(bytes));
        return false;
    }
    if (*taken != bytes.size() || !same_bytes(again.view(), bytes)) {
        fmt::print("{} v{}: other bytes\n  theirs {}\n  ours   {}\n", name, version, hex(bytes), hex(again));
        return false;
    }
    return true;
}

int check(const char* path) {
    std::ifstream file{path, std::ios::binary};
    const std::vector<char> all{std::istreambuf_iterator<char>{file}, {}};
    Reader in{ByteView{reinterpret_cast<const std::uint8_t*>(all.data()), all.size()}};
    std::set<std::pair<std::string_view, std::int16_t>> seen;
    std::size_t messages = 0;
    std::size_t wrong = 0;
    while (in.remaining() > 0 && !in.failed()) {
        const std::string_view name = in.string(false, "name");
        const auto version = in.fixed<std::int16_t>("version");
        const ByteView bytes = in.bytes(false, "message");
        if (in.failed()) break;
        seen.emplace(name, version);
        ++messages;
        if (!agrees(name, version, bytes) && ++wrong >= 10) break;
    }
    std::size_t missing = 0;
    for (const MessageOps& ops : all_message_ops()) {
        for (std::int16_t version = ops.min_version; version <= ops.max_version; ++version) {
            if (seen.contains({ops.name, version})) continue;
            if (++missing <= 10) fmt::print("{} v{}: not in the file\n", ops.name, version);
        }
    }
    fmt::print("c++: {} messages, {} types and versions, {} differ, {} missing\n", messages, seen.size(), wrong,
               missing);
    return in.failed() || wrong != 0 || missing != 0 || messages == 0 ? 1 : 0;
}

}  // namespace
}  // namespace odr::protocol

int main(int argc, char** argv) {
    const std::string mode = argc > 1 ? argv[1] : "";
    if (mode == "make" && argc == 5) return odr::protocol::make(std::stoull(argv[2]), std::stoi(argv[3]), argv[4]);
    if (mode == "check" && argc == 3) return odr::protocol::check(argv[2]);
    fmt::print(stderr, "odr_protocol_roundtrip make SEED PER_VERSION FILE | check FILE\n");
    return 2;
}
