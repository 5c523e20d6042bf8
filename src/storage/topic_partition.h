#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/types.h"
#include "base/uuid.h"

namespace odr::storage {

// A log by name, and the name of its folder.
struct TopicPartition {
    std::string topic;
    PartitionIndex partition{0};

    friend auto operator<=>(const TopicPartition&, const TopicPartition&) = default;
    // Gives: "orders-7", as the folder is called.
    std::string to_string() const;
};

// What a folder in a log directory is.
enum class LogFolderKind {
    log,      // <topic>-<n>
    deleted,  // <topic>-<n>.<32 hex>-delete: to be removed
    future,   // <topic>-<n>.<32 hex>-future: a copy between directories, not finished
    stray,    // <topic>-<n>.<32 hex>-stray: a replica the cluster no longer wants here
    foreign,  // none of ours
};
struct LogFolderName {
    LogFolderKind kind = LogFolderKind::foreign;
    TopicPartition topic_partition;
};
// Kafka: LocalLog.parseTopicPartitionName.
LogFolderName parse_log_folder_name(std::string_view name);

// Gives: "<topic>-<n>.<32 hex of id><suffix>", the topic shortened so that the name fits in 255 bytes. suffix:
// "-delete",
//        "-stray" or "-future".
std::string marked_folder_name(const TopicPartition& topic_partition, const Uuid& id, std::string_view suffix);

}  // namespace odr::storage

template <>
struct std::hash<odr::storage::TopicPartition> {
    // Not noexcept, so that a table keeps each entry's hash: comparing and growing then read no names.
    std::size_t operator()(const odr::storage::TopicPartition& value) const {
        return std::hash<std::string>{}(value.topic) * 31 + std::hash<odr::PartitionIndex>{}(value.partition);
    }
};
