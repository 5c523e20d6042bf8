#pragma once

#include <cstdint>
#include <string_view>

namespace odr {

// Kafka's error codes, as they stand on the wire. The one vocabulary of failure from storage to the answer.
enum class ErrorCode : std::int16_t {
#define ODR_ERROR(name, code, retriable) name = code,
#include "base/error_code_list.inc"
#undef ODR_ERROR
};

// Gives: Kafka's spelling, such as "UNKNOWN_TOPIC_OR_PARTITION".
std::string_view to_string(ErrorCode code);
// Gives: whether a client may send the same request again.
bool is_retriable(ErrorCode code);

}  // namespace odr
