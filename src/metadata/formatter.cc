#include "metadata/formatter.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <set>

#include "metadata/meta_properties.h"
#include "raft/snapshot_reader.h"
#include "raft/snapshot_writer.h"

namespace odr::metadata {

namespace {

using Failure = std::unexpected<std::string>;
template <class T>
using Told = std::expected<T, std::string>;  // or a sentence for the operator

std::string describe(const std::string& path, const Error& error) {
    return fmt::format("Error while writing {}: {} ({})", path, error.what, std::strerror(error.os_errno));
}

template <class Number>
bool parse_number(std::string_view text, Number& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc{} && end == text.data() + text.size();
}

// What a directory is for decides what the tool calls it.
enum class DirectoryKind { log, static_metadata, dynamic_non_voter, dynamic_voter };

std::string_view to_string(DirectoryKind kind) {
    switch (kind) {
        case DirectoryKind::log:
            return "data directory";
        case DirectoryKind::static_metadata:
            return "metadata directory";
        case DirectoryKind::dynamic_non_voter:
            return "dynamic metadata directory";
        case DirectoryKind::dynamic_voter:
            return "dynamic metadata voter directory";
    }
    return "";
}

Told<void> check_request(const FormatRequest& request) {
    if (!request.scram.empty())
        return Failure{"--add-scram is not served yet: start the cluster and use kafka-configs --alter --add-config."};
    const bool is_dynamic = request.standalone || request.initial_controllers;
    if (request.standalone + request.no_initial_controllers + request.initial_controllers.has_value() > 1)
        return Failure{"Only one of --standalone, --initial-controllers and --no-initial-controllers may be given."};
    if (request.has_static_voters && is_dynamic)
        return Failure{
            "You cannot specify controller.quorum.voters and format the node with --initial-controllers or "
            "--standalone. "
            "If you want to use dynamic quorum, please remove controller.quorum.voters and specify "
            "controller.quorum.bootstrap.servers instead."};
    if (request.is_controller && !request.has_static_voters && !is_dynamic && !request.no_initial_controllers)
        return Failure{
            "Because controller.quorum.voters is not set on this controller, you must specify one of the following: "
            "--standalone, --initial-controllers, or --no-initial-controllers."};
    if (request.standalone && !request.is_controller)
        return Failure{"--standalone needs a node whose process.roles has controller."};
    return {};
}

Told<MetadataVersion> release_version(const FormatRequest& request) {
    MetadataVersion version = kMetadataVersionLatest;
    if (request.release_version) {
        const auto parsed = MetadataVersion::parse(*request.release_version);
        if (!parsed) {
            std::string known;
            for (std::int16_t level = kMetadataVersionMin.level(); level <= kMetadataVersionLatest.level(); ++level)
                known += fmt::format("{}{}", known.empty() ? "" : ", ", MetadataVersion{level}.name());
            return Failure{fmt::format("Unknown metadata.version '{}'. Supported metadata.version are: {}",
                                       *request.release_version, known)};
        }
        version = *parsed;
    }
    return version;
}

// One run over the directories.
class Formatting {
public:
    Formatting(io::MayBlock may_block, io::FileSystem& files, Random& random, const FormatRequest& request,
               const std::function<void(std::string_view)>& print, TimestampMs now)
        : may_block_{may_block}, files_{files}, random_{random}, request_{request}, print_{print}, now_{now} {}

    Told<void> prepare() {
        auto version = release_version(request_);
        if (!version) return Failure{version.error()};
        version_ = *version;
        const bool is_dynamic = request_.standalone || request_.initial_controllers || request_.no_initial_controllers;
        auto levels = effective_feature_levels(version_, request_.features, is_dynamic && !request_.has_static_voters);
        if (!levels) return Failure{levels.error()};
        if (const auto named = levels->find(kMetadataVersionFeature); named != levels->end())
            version_ = MetadataVersion{named->second};
        kraft_version_ = levels->at(std::string{kKRaftVersionFeature});
        bootstrap_ = feature_records(version_, *levels);
        return choose_voters();
    }

    Told<void> format(const std::string& directory, std::set<Uuid>& taken) {
        const DirectoryKind kind = kind_of(directory);
        print_(fmt::format("Formatting {} {} with metadata.version {}.", to_string(kind), directory, version_.name()));
        if (const auto made = files_.create_directories(directory); !made)
            return Failure{describe(directory, made.error())};
        if (const auto wrote = write_bootstrap(may_block_, files_, directory, bootstrap_, now_); !wrote)
            return Failure{describe(directory, wrote.error())};
        if (kind == DirectoryKind::dynamic_voter || kind == DirectoryKind::dynamic_non_voter) {
            if (const auto wrote = write_voters(directory); !wrote) return Failure{describe(directory, wrote.error())};
        }
        MetaProperties properties;
        properties.cluster_id = request_.cluster_id;
        properties.node_id = request_.node_id;
        properties.directory_id = kind == DirectoryKind::dynamic_voter
                                      ? raft::find_voter(voters_, request_.node_id)->key.directory_id
                                      : fresh_id(taken);
        taken.insert(*properties.directory_id);
        if (const auto wrote = write_meta_properties(may_block_, files_, directory, properties, now_); !wrote)
            return Failure{describe(directory, wrote.error())};
        return {};
    }

private:
    Told<void> choose_voters() {
        if (request_.standalone) {
            raft::VoterNode self;
            self.key = {request_.node_id, random_.uuid()};
            self.endpoints.push_back(request_.controller_endpoint);
            voters_.push_back(std::move(self));
        } else if (request_.initial_controllers) {
            auto voters = parse_initial_controllers(*request_.initial_controllers, request_.controller_listener);
            if (!voters) return Failure{voters.error()};
            voters_ = std::move(*voters);
        }
        return {};
    }
    DirectoryKind kind_of(const std::string& directory) const {
        if (directory != request_.metadata_log_directory) return DirectoryKind::log;
        if (voters_.empty()) return DirectoryKind::static_metadata;
        return raft::find_voter(voters_, request_.node_id) != nullptr ? DirectoryKind::dynamic_voter
                                                                      : DirectoryKind::dynamic_non_voter;
    }
    Result<void> write_voters(const std::string& directory) {
        const std::string log_directory = directory + "/__cluster_metadata-0";
        ODR_CHECK(files_.create_directories(log_directory));
        raft::SnapshotWriter::Options options;
        options.path = log_directory + "/" + raft::snapshot_file_name({});
        options.last_contained_log_timestamp = now_;
        options.kraft_version = kraft_version_;
        options.voters = voters_;
        options.now = now_;
        ODR_TRY(writer, raft::SnapshotWriter::create(may_block_, files_, std::move(options)));
        return writer->freeze(may_block_);
    }
    Uuid fresh_id(const std::set<Uuid>& taken) {
        for (;;)
            if (const Uuid id = random_.uuid(); !taken.contains(id)) return id;
    }

    io::MayBlock may_block_;
    io::FileSystem& files_;
    Random& random_;
    const FormatRequest& request_;
    const std::function<void(std::string_view)>& print_;
    TimestampMs now_;
    MetadataVersion version_;
    std::int16_t kraft_version_ = 0;
    raft::VoterSet voters_;
    RecordList bootstrap_;
};

}  // namespace

bool may_format_itself(io::FileSystem& files, const FormatRequest& request) {
    if (!request.is_controller) return false;
    for (const std::string& directory : request.log_directories) {
        if (!files.exists(directory)) continue;
        const auto entries = files.list(directory);
        if (!entries) return false;
        for (const io::DirectoryEntry& entry : *entries)
            if (entry.name != "lost+found" && entry.name != ".lock") return false;
    }
    return true;
}

std::string random_cluster_id(Random& random) { return random.uuid().to_string(); }

std::expected<raft::VoterSet, std::string> parse_initial_controllers(std::string_view text, std::string_view listener) {
    raft::VoterSet voters;
    const std::string whole{text};
    while (!text.empty()) {
        const std::size_t comma = std::min(text.find(','), text.size());
        const std::string_view entry = text.substr(0, comma);
        text.remove_prefix(std::min(comma + 1, text.size()));
        // The directory id is 22 characters at the end, so a host may have colons.
        const std::size_t id_at = entry.rfind(':');
        const auto directory = id_at == std::string_view::npos ? std::nullopt : Uuid::parse(entry.substr(id_at + 1));
        const std::string address = fmt::format("{}", entry.substr(0, std::min(id_at, entry.size())));
        const auto parsed = raft::parse_static_voters(address, listener);
        if (!directory || !parsed || parsed->size() != 1)
            return Failure{
                fmt::format("Invalid --initial-controllers '{}': each must be id@host:port:directory id.", whole)};
        raft::VoterNode voter = parsed->front();
        voter.key.directory_id = *directory;
        voter.kraft_version_max = 1;
        if (raft::find_voter(voters, voter.key.id) != nullptr)
            return Failure{fmt::format("Node id {} was specified more than once.", voter.key.id)};
        voters.push_back(std::move(voter));
    }
    if (voters.empty()) return Failure{"--initial-controllers names no controller."};
    std::ranges::sort(voters, {}, [](const raft::VoterNode& voter) { return voter.key.id; });
    return voters;
}

std::expected<FeatureLevels, std::string> effective_feature_levels(MetadataVersion version,
                                                                   const std::vector<std::string>& features,
                                                                   bool is_dynamic_quorum) {
    FeatureLevels levels;
    for (const std::string& argument : features) {
        const std::size_t equals = argument.find('=');
        std::int16_t level = 0;
        if (equals == std::string::npos || !parse_number(std::string_view{argument}.substr(equals + 1), level))
            return Failure{
                fmt::format("Can't parse feature={} level from --feature: it must be name=level.", argument)};
        const std::string name = argument.substr(0, equals);
        const SupportedFeature* feature = find_supported_feature(name);
        if (feature == nullptr) {
            std::string known;
            for (const SupportedFeature& each : supported_features())
                if (each.name != kMetadataVersionFeature)
                    known += fmt::format("{}{}", known.empty() ? "" : ", ", each.name);
            return Failure{fmt::format("Unsupported feature: {}. Supported features are: {}", name, known)};
        }
        if (level < feature->min || level > feature->max)
            return Failure{fmt::format("No feature:{} with feature level {}", name, level)};
        if (!levels.emplace(name, level).second)
            return Failure{fmt::format("Feature {} was specified more than once.", name)};
    }
    if (const auto named = levels.find(kMetadataVersionFeature); named != levels.end())
        version = MetadataVersion{named->second};
    for (const SupportedFeature& feature : supported_features())
        if (feature.name != kKRaftVersionFeature)
            levels.emplace(feature.name, default_feature_level(feature.name, version));
    const auto [kraft, is_default] = levels.emplace(kKRaftVersionFeature, is_dynamic_quorum ? 1 : 0);
    if (kraft->second == 0 && is_dynamic_quorum)
        return Failure{
            "Cannot set kraft.version to 0 if controller.quorum.voters is empty and one of the flags --standalone, "
            "--initial-controllers, or --no-initial-controllers is used. For dynamic controllers support, try removing "
            "the "
            "--feature flag for kraft.version."};
    if (kraft->second == 1 && !is_dynamic_quorum)
        return Failure{
            "Cannot set kraft.version to 1 unless one of the flags --standalone, --initial-controllers, or "
            "--no-initial-controllers is used. Try removing the --feature flag for kraft.version."};
    if (levels.at(std::string{kElrVersionFeature}) > 0 && !version.is_elr_supported())
        return Failure{
            "eligible.leader.replicas.version could not be set to 1 because it depends on metadata.version "
            "level 23"};
    return levels;
}

std::expected<void, std::string> format_directories(io::MayBlock may_block, io::FileSystem& files, const Clock& clock,
                                                    Random& random, const FormatRequest& request,
                                                    const std::function<void(std::string_view)>& print) {
    if (const auto checked = check_request(request); !checked) return checked;
    const auto ensemble = MetaPropertiesEnsemble::load(files, request.log_directories);
    if (const auto verified = ensemble.verify(request.cluster_id, request.node_id); !verified) return verified;
    Formatting formatting{may_block, files, random, request, print, clock.now()};
    if (const auto prepared = formatting.prepare(); !prepared) return prepared;
    if (!ensemble.formatted.empty() && !request.ignore_formatted)
        return Failure{
            fmt::format("Log directory {} is already formatted. Use --ignore-formatted to ignore this directory and "
                        "format the others.",
                        ensemble.formatted.begin()->first)};
    for (const auto& [directory, why] : ensemble.failed)
        print(fmt::format("I/O error trying to read log directory {}. Ignoring... ({})", directory, why));
    if (ensemble.empty.empty() && ensemble.formatted.empty()) return Failure{"No available log directories to format."};
    if (ensemble.empty.empty()) print("All of the log directories are already formatted.");
    std::set<Uuid> taken;
    for (const auto& [directory, properties] : ensemble.formatted)
        if (properties.directory_id) taken.insert(*properties.directory_id);
    for (const std::string& directory : ensemble.empty)
        if (const auto formatted = formatting.format(directory, taken); !formatted) return formatted;
    return {};
}

}  // namespace odr::metadata
