#include "base/error_code.h"

#include <cctype>
#include <string>
#include <unordered_map>

namespace odr {
namespace {

struct Row {
    std::string name;
    bool retriable;
};

std::string upper(std::string_view text) {
    std::string out{text};
    for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return out;
}

const std::unordered_map<std::int16_t, Row>& rows() {
    static const auto* table = new std::unordered_map<std::int16_t, Row>{
#define ODR_ERROR(name, code, retriable) {std::int16_t{code}, Row{upper(#name), retriable}},
#include "base/error_code_list.inc"
#undef ODR_ERROR
    };
    return *table;
}

}  // namespace

std::string_view to_string(ErrorCode code) {
    const auto found = rows().find(static_cast<std::int16_t>(code));
    return found == rows().end() ? std::string_view{"UNDEFINED"} : std::string_view{found->second.name};
}

bool is_retriable(ErrorCode code) {
    const auto found = rows().find(static_cast<std::int16_t>(code));
    return found != rows().end() && found->second.retriable;
}

}  // namespace odr
