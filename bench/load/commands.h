#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "load/payload.h"
#include "load/report.h"

// One function per sub-command of odradek-load: takes its options, does the work against a broker, gives what it
// measured. All block; errors are those of the broker or of the network, counted errors stand in the report.
namespace odr::bench {

struct Common {
    Address broker{.host = "127.0.0.1", .port = 9092};
    pid_t broker_pid = 0;   // whose CPU time and memory are measured; 0: nobody's
    std::string topic;      // empty: a name of this run's own
    bool is_floor = false;  // a floor program: it has no topics to create, ask for or delete
    bool keep_topic = false;
    TopicConfigs topic_configs;  // of the topic that is made
};

// When a phase of load ends: whatever comes first. 0 is no limit, but one of them must be set.
struct Limits {
    double seconds = 0;
    std::uint64_t bytes = 0;
    std::uint64_t requests = 0;
};

struct ProduceOptions : Common {
    int connections = 1;
    int partitions = 1;
    int in_flight = 5;      // on each connection
    std::int16_t acks = 1;  // 0 sends as fast as the sockets take it, and nothing is verified
    BatchSpec batch{};
    double rate = 0;  // requests a second over all connections, sent when they are due; 0: as fast as answered
    Limits warmup{.seconds = 1};
    Limits limits{.seconds = 5, .bytes = std::uint64_t{2} << 30};
    bool verify = false;  // reads everything back and counts
};
Result<Report> run_produce(const ProduceOptions& options);

struct FetchOptions : Common {
    int consumers = 1;
    int partitions = 1;  // of the topic; consumer i reads partition i modulo this
    std::int32_t max_bytes = 4 << 20;
    bool from_tail = false;
    bool check = false;            // parses what comes; otherwise it is discarded unread
    std::uint64_t fill_bytes = 0;  // produced into each partition first
    BatchSpec batch{};
    Limits warmup{.seconds = 1};
    Limits limits{.seconds = 5, .bytes = std::uint64_t{20} << 30};
};
Result<Report> run_fetch(const FetchOptions& options);

struct EndToEndOptions : Common {
    double rate = 1000;
    std::size_t record_bytes = 100;
    std::int16_t acks = 1;
    double warmup_seconds = 1;
    double seconds = 10;
};
Result<Report> run_end_to_end(const EndToEndOptions& options);

struct TailOptions : Common {
    int consumers = 16;
    int partitions = 1;
    int partitions_each = 0;  // that a consumer reads, one after the other round the topic; 0: all
    bool no_session = false;  // names all partitions in each Fetch
    std::int32_t max_wait_ms = 500;
    std::int32_t max_bytes = 4 << 20;
    double rate = 1000;  // batches a second over all partitions; 0: nothing is written
    BatchSpec batch{.batch_bytes = 100, .record_bytes = 100};
    double warmup_seconds = 1;
    double seconds = 10;
};
Result<Report> run_tail(const TailOptions& options);

struct ConnectOptions : Common {
    int connections = 5000;
    bool all_at_once = false;
    bool hello = false;  // an ApiVersions exchange on each, and no load: what an idle connection costs
    int in_flight = 64;  // connections with a request under way at one time
    std::uint64_t warmup_requests = 5000;
    std::uint64_t requests = 50'000;
    double seconds = 30;
    BatchSpec batch{.batch_bytes = 100, .record_bytes = 100};
};
Result<Report> run_connect(const ConnectOptions& options);

struct ClaimOptions : Common {
    int connections = 200;
    std::int32_t frame_bytes = 100'000'000;
    double answer_seconds_max = 10;
};
Result<Report> run_claim(const ClaimOptions& options);

struct TopicsOptions : Common {
    int topics = 1;  // over one, each is called after the topic's name and its number
    int partitions = 2000;
    bool fill = false;      // a record into each partition
    bool existing = false;  // creates nothing and waits until what is named is usable
};
Result<Report> run_topics(const TopicsOptions& options);

struct GroupsOptions : Common {
    std::string protocol = "consumer";  // or classic
    int groups = 100;
    int members = 3;  // of each
    int partitions = 6;
    int connections = 300;          // at most, and at least one for each member of a group
    std::int64_t heartbeat_ms = 0;  // 0: 3 s (classic), or what the broker says (consumer)
    std::int64_t unsettled_ms = 0;  // while a group is not settled; 0: as always
    double join_seconds_max = 300;
    double warmup_seconds = 5;  // once all are settled: what was late while they joined is caught up
    double seconds = 30;        // of heartbeats after that; 0: neither
    bool leave = false;         // afterwards one leaves
};
Result<Report> run_groups(const GroupsOptions& options);

struct CommitsOptions : Common {
    int connections = 8;
    int in_flight = 1;   // on each connection
    int partitions = 0;  // 0: as many as connections
    int turns = 3;       // phases of each kind
    Limits warmup{.seconds = 1};
    Limits limits{.seconds = 3};
};
Result<Report> run_commits(const CommitsOptions& options);

// A name that no other run took.
std::string own_topic_name(const Common& common);
// The topic to work on, made anew; for a floor program only its description.
Result<TopicTarget> set_up_topic(const Common& common, std::int32_t partitions);
// Deletes it again, unless it is to stay. What fails here fails nothing.
void tear_down_topic(const Common& common, const TopicTarget& topic);

}  // namespace odr::bench
