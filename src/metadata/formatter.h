#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/types.h"
#include "io/file_system.h"
#include "io/may_block.h"
#include "metadata/bootstrap.h"
#include "raft/voter_set.h"

namespace odr::metadata {

// What `odradek format` was asked, with what it needs of the configuration.
struct FormatRequest {
    std::string cluster_id;                          // --cluster-id
    BrokerId node_id{0};                             // node.id
    std::vector<std::string> log_directories;        // log.dirs and metadata.log.dir, each once
    std::string metadata_log_directory;              // metadata.log.dir, or the first of log.dirs
    std::string controller_listener;                 // the first of controller.listener.names
    bool is_controller = false;                      // process.roles has controller
    bool has_static_voters = false;                  // controller.quorum.voters is set
    raft::VoterEndpoint controller_endpoint;         // where others reach this controller; for --standalone
    bool standalone = false;                         // --standalone
    bool no_initial_controllers = false;             // --no-initial-controllers
    std::optional<std::string> initial_controllers;  // --initial-controllers id@host:port:directory id,...
    std::optional<std::string> release_version;      // --release-version, such as 4.3 or 4.3-IV0
    std::vector<std::string> features;               // --feature name=level
    std::vector<std::string> scram;                  // --add-scram
    bool ignore_formatted = false;                   // --ignore-formatted
};

// Makes log directories ready for a node: meta.properties in each, bootstrap.checkpoint beside it, and for a dynamic
// quorum the first snapshot, which names the voters. Apache Kafka starts on them.
//
// print:  gets a line for each thing done, without its line end.
// Errors: a sentence for the operator, Kafka's where Kafka has one. What was formatted before the failure stays.
// Kafka:  Formatter, StorageTool.
std::expected<void, std::string> format_directories(io::MayBlock, io::FileSystem& files, const Clock& clock,
                                                    Random& random, const FormatRequest& request,
                                                    const std::function<void(std::string_view)>& print);

// Whether the node may do that itself at its first start: it is the only controller it knows of, no directory is
// formatted and none has anything in it but what a file system puts there.
bool may_format_itself(io::FileSystem& files, const FormatRequest& request);

// A cluster id, as kafka-storage random-uuid makes one.
std::string random_cluster_id(Random& random);

// Needs:  "0@host:9093:<directory id>,1@..." Errors: a sentence.
std::expected<raft::VoterSet, std::string> parse_initial_controllers(std::string_view text, std::string_view listener);

// The levels of all features for a new cluster: defaults of the release under what `features` names.
std::expected<FeatureLevels, std::string> effective_feature_levels(MetadataVersion version,
                                                                   const std::vector<std::string>& features,
                                                                   bool is_dynamic_quorum);

}  // namespace odr::metadata
