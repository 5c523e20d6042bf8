#pragma once

#include <fmt/core.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "protocol/json.h"

namespace odr::cli {

// One line of `log dump`: `name: value name: value`, as kafka-dump-log prints it, or the same as a JSON object.
class DumpLine {
public:
    DumpLine(bool is_json, std::string_view kind) : is_json_{is_json} {
        if (!is_json_) return;
        json_.begin_object();
        text("kind", kind);
    }
    void number(std::string_view name, std::int64_t value) {
        is_json_ ? (json_.name(name), json_.value(value)) : plain(name, fmt::format("{}", value));
    }
    void flag(std::string_view name, bool value) {
        is_json_ ? (json_.name(name), json_.value(value)) : plain(name, value ? "true" : "false");
    }
    void text(std::string_view name, std::string_view value) {
        is_json_ ? (json_.name(name), json_.value(value)) : plain(name, value);
    }
    // Java's OptionalLong.
    void optional(std::string_view name, bool is_there, std::int64_t value) {
        if (!is_json_) return plain(name, is_there ? fmt::format("OptionalLong[{}]", value) : "OptionalLong.empty");
        json_.name(name);
        is_there ? json_.value(value) : json_.null();
    }
    // `separator` stands between name and value; some of Kafka's have no colon.
    void object(std::string_view name, std::string_view json, std::string_view separator = ": ") {
        if (!is_json_) return raw(fmt::format("{}{}{}", name, separator, json));
        json_.name(name);
        json_.json(json);
    }
    void null(std::string_view name) {
        if (is_json_) json_.name(name), json_.null();
    }
    // Put before the line, if there is one.
    void start_with(std::string_view start) {
        if (!is_json_ && !text_.empty()) text_.insert(0, start);
    }
    bool is_json() const { return is_json_; }
    void print() {
        if (is_json_) json_.end_object();
        const std::string& out = is_json_ ? json_.text() : text_;
        std::fwrite(out.data(), 1, out.size(), stdout);
        std::fputc('\n', stdout);
    }

private:
    void plain(std::string_view name, std::string_view value) {
        if (!text_.empty()) text_ += ' ';
        text_ += name;
        text_ += ": ";
        text_ += value;
    }
    void raw(std::string_view text) {
        if (!text_.empty()) text_ += ' ';
        text_ += text;
    }

    const bool is_json_;
    std::string text_;
    protocol::JsonWriter json_;
};

}  // namespace odr::cli
