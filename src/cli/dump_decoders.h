#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/types.h"
#include "record/record.h"

namespace odr::cli {

// What a record says, as text. `is_json`: the text is a JSON value.
struct DecodedField {
    std::string text;
    bool is_json = false;
};
struct DecodedRecord {
    std::optional<DecodedField> key, value;
};

// Makes keys and values readable. Errors become text, as in kafka-dump-log.
class RecordDecoder {
public:
    virtual ~RecordDecoder() = default;
    virtual DecodedRecord decode(Offset offset, const std::optional<ByteView>& key,
                                 const std::optional<ByteView>& value) const = 0;
};

// Names: as kafka-dump-log's options: "offsets", "transaction-log", "cluster-metadata", "share-group-state",
//        "remote-log-metadata".
// Gives: nullptr for another name.
std::unique_ptr<RecordDecoder> make_record_decoder(std::string_view name);
// Plain keys and values. Names: classes of org.apache.kafka.tools.api, or string, integer, long, default.
// Gives: nullptr for another name.
std::unique_ptr<RecordDecoder> make_plain_decoder(std::string_view key_class, std::string_view value_class);

// A control record, as text behind the line: name and value, and what stands between. nullopt: it cannot be read.
struct ControlText {
    std::string name, separator, value;
    bool is_json = false;
    std::optional<std::int32_t> coordinator_epoch = {};  // of a transaction's marker
};
std::optional<ControlText> describe_control_record(const record::Record& record);

// Bytes as Java makes a string of them: what is no UTF-8 becomes U+FFFD.
std::string java_string(ByteView bytes);

}  // namespace odr::cli
