// odradek-load: load for a Kafka broker, Odradek or another, and what it costs the broker.
#include <fmt/core.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "load/commands.h"

namespace odr::bench {
namespace {

constexpr std::string_view kDefaultBroker = "127.0.0.1:9092";

// What the command line says, before it is checked, and what each word does.
struct Words {
    struct Word {
        const CLI::App* command;
        std::function<Result<Report>()> run;
    };
    std::string broker{kDefaultBroker};
    std::string codec = "none";
    bool json = false;
    std::vector<Word> all;
    std::vector<Common*> commons;
    std::vector<BatchSpec*> batches;
    std::vector<std::shared_ptr<void>> options;
};

void add_common(CLI::App& command, Common& common, Words& words) {
    words.commons.push_back(&common);
    command.add_option("--broker", words.broker, "host:port")->capture_default_str();
    command.add_option("--broker-pid", common.broker_pid, "measure this process's CPU time and memory");
    command.add_option("--topic", common.topic, "the topic's name; by default one of this run's own");
    command.add_flag("--floor", common.is_floor, "the other side is a floor program: no topic to create");
    command.add_flag("--keep-topic", common.keep_topic, "do not delete the topic afterwards");
    command.add_option("--topic-config", common.topic_configs, "key=value of the topic that is made, may be repeated");
    command.add_flag("--json", words.json, "print one line of JSON");
}

void add_batch(CLI::App& command, BatchSpec& batch, Words& words) {
    words.batches.push_back(&batch);
    command.add_option("--batch-bytes", batch.batch_bytes, "record values in a batch, bytes")->capture_default_str();
    command.add_option("--record-bytes", batch.record_bytes, "one record's value, bytes")->capture_default_str();
    command.add_flag("--words", batch.is_words, "values that compress well");
    command.add_option("--codec", words.codec, "none, gzip, snappy, lz4 or zstd")->capture_default_str();
}

// A word with its options, which live as long as the words.
template <class Options>
std::pair<CLI::App*, Options*> add_word(CLI::App& app, Words& words, const char* name, const char* what,
                                        Result<Report> (*run)(const Options&)) {
    auto options = std::make_shared<Options>();
    CLI::App* const command = app.add_subcommand(name, what);
    add_common(*command, *options, words);
    words.all.push_back({command, [run, options] { return run(*options); }});
    words.options.push_back(options);
    return {command, options.get()};
}

void add_limits(CLI::App& command, Limits& warmup, Limits& limits) {
    command.add_option("--warmup-seconds", warmup.seconds, "load before the measurement")->capture_default_str();
    command.add_option("--warmup-bytes", warmup.bytes, "at most so much of it (0: no limit)")->capture_default_str();
    command.add_option("--seconds", limits.seconds, "measure for so long (0: no limit)")->capture_default_str();
    command.add_option("--bytes", limits.bytes, "or for so many bytes (0: no limit)")->capture_default_str();
    command.add_option("--requests", limits.requests, "or for so many requests (0: no limit)")->capture_default_str();
}

void add_produce(CLI::App& app, Words& words) {
    const auto [command, options] = add_word(app, words, "produce", "send record batches", &run_produce);
    add_batch(*command, options->batch, words);
    add_limits(*command, options->warmup, options->limits);
    command->add_option("--connections", options->connections)->capture_default_str();
    command->add_option("--partitions", options->partitions)->capture_default_str();
    command->add_option("--in-flight", options->in_flight, "requests on each connection")->capture_default_str();
    command->add_option("--acks", options->acks, "-1, 0 or 1")->capture_default_str();
    command->add_option("--rate", options->rate,
                        "requests a second, sent when due whether or not others are answered (0: as fast as answered)");
    command->add_flag("--verify", options->verify, "read everything back: CRC, offsets, count");
}

void add_fetch(CLI::App& app, Words& words) {
    const auto [command, options] = add_word(app, words, "fetch", "read partitions again and again", &run_fetch);
    add_batch(*command, options->batch, words);
    add_limits(*command, options->warmup, options->limits);
    command->add_option("--consumers", options->consumers)->capture_default_str();
    command->add_option("--partitions", options->partitions, "of the topic that is filled")->capture_default_str();
    command->add_option("--max-bytes", options->max_bytes, "of an answer")->capture_default_str();
    command->add_option("--fill-bytes", options->fill_bytes,
                        "create the topic and produce so much into each partition first");
    command->add_flag("--from-tail", options->from_tail, "start at the end and wait for more");
    command->add_flag("--check", options->check, "parse what comes: CRC, offsets, records");
}

void add_end_to_end(CLI::App& app, Words& words) {
    const auto [command, options] =
        add_word(app, words, "e2e", "how old records are when a consumer has them", &run_end_to_end);
    command->add_option("--rate", options->rate, "records a second, one a request")->capture_default_str();
    command->add_option("--record-bytes", options->record_bytes)->capture_default_str();
    command->add_option("--acks", options->acks)->capture_default_str();
    command->add_option("--warmup-seconds", options->warmup_seconds)->capture_default_str();
    command->add_option("--seconds", options->seconds)->capture_default_str();
}

void add_connect(CLI::App& app, Words& words) {
    const auto [command, options] =
        add_word(app, words, "connect", "open many connections, then use them in turn", &run_connect);
    add_batch(*command, options->batch, words);
    command->add_option("--connections", options->connections)->capture_default_str();
    command->add_flag("--all-at-once", options->all_at_once, "do not wait for one before the next");
    command->add_flag("--hello", options->hello, "a greeting on each and nothing else: what an idle one costs");
    command->add_option("--in-flight", options->in_flight, "connections with a request under way")
        ->capture_default_str();
    command->add_option("--warmup-requests", options->warmup_requests)->capture_default_str();
    command->add_option("--requests", options->requests)->capture_default_str();
    command->add_option("--seconds", options->seconds, "at most")->capture_default_str();
}

void add_claim(CLI::App& app, Words& words) {
    const auto [command, options] = add_word(app, words, "claim", "announce large frames and send nothing", &run_claim);
    command->add_option("--connections", options->connections)->capture_default_str();
    command->add_option("--frame-bytes", options->frame_bytes)->capture_default_str();
    command->add_option("--answer-seconds-max", options->answer_seconds_max)->capture_default_str();
}

void add_topics(CLI::App& app, Words& words) {
    const auto [command, options] =
        add_word(app, words, "topics", "create topics, and wait until they can be used", &run_topics);
    command->add_option("--partitions", options->partitions, "of each, at most 10,000")->capture_default_str();
    command->add_option("--topics", options->topics, "one request each; named TOPIC-0, TOPIC-1, ...")
        ->capture_default_str();
    command->add_flag("--fill", options->fill, "a record into each partition");
    command->add_flag("--existing", options->existing, "create nothing: wait until --topic is usable, count records");
}

void add_tail(CLI::App& app, Words& words) {
    const auto [command, options] =
        add_word(app, words, "tail", "consumers that wait at the end: fan-out, fetch sessions, long polls", &run_tail);
    command->add_option("--batch-bytes", options->batch.batch_bytes, "record values in a batch")->capture_default_str();
    command->add_option("--record-bytes", options->batch.record_bytes, "one value")->capture_default_str();
    command->add_option("--consumers", options->consumers)->capture_default_str();
    command->add_option("--partitions", options->partitions, "of the topic")->capture_default_str();
    command->add_option("--partitions-each", options->partitions_each, "that a consumer reads (0: all)");
    command->add_flag("--no-session", options->no_session, "name all partitions in each Fetch");
    command->add_option("--max-wait-ms", options->max_wait_ms, "of a Fetch")->capture_default_str();
    command->add_option("--max-bytes", options->max_bytes, "of an answer")->capture_default_str();
    command->add_option("--rate", options->rate, "batches a second, round the partitions (0: none)")
        ->capture_default_str();
    command->add_option("--warmup-seconds", options->warmup_seconds)->capture_default_str();
    command->add_option("--seconds", options->seconds)->capture_default_str();
}

void add_groups(CLI::App& app, Words& words) {
    const auto [command, options] =
        add_word(app, words, "groups", "members of many groups, or of a large one, that heartbeat", &run_groups);
    command->add_option("--protocol", options->protocol, "consumer or classic")->capture_default_str();
    command->add_option("--groups", options->groups)->capture_default_str();
    command->add_option("--members", options->members, "of each group")->capture_default_str();
    command->add_option("--partitions", options->partitions, "of the topic that all groups read")
        ->capture_default_str();
    command->add_option("--connections", options->connections, "at most, but one for each member of a group")
        ->capture_default_str();
    command->add_option("--heartbeat-ms", options->heartbeat_ms, "0: 3 s (classic), what the broker says (consumer)");
    command->add_option("--unsettled-ms", options->unsettled_ms,
                        "heartbeats of a group that is not settled (0: as always)");
    command->add_option("--join-seconds-max", options->join_seconds_max)->capture_default_str();
    command->add_option("--warmup-seconds", options->warmup_seconds, "once all are settled")->capture_default_str();
    command->add_option("--seconds", options->seconds, "of heartbeats after that (0: neither)")->capture_default_str();
    command->add_flag("--leave", options->leave, "afterwards a member of the first group leaves");
}

void add_commits(CLI::App& app, Words& words) {
    const auto [command, options] =
        add_word(app, words, "commits", "OffsetCommits beside produces of one record, in turn", &run_commits);
    command->add_option("--connections", options->connections, "each commits for a group of its own")
        ->capture_default_str();
    command->add_option("--in-flight", options->in_flight, "requests on each connection")->capture_default_str();
    command->add_option("--partitions", options->partitions, "of the topic (0: as many as connections)");
    command->add_option("--turns", options->turns, "phases of each kind")->capture_default_str();
    add_limits(*command, options->warmup, options->limits);
}

int print(const Result<Report>& report, const Words& words) {
    if (!report) {
        const Error& error = report.error();
        fmt::print(stderr, "odradek-load: {}: {}{}\n", to_string(error.code), error.what,
                   error.os_errno != 0 ? fmt::format(" ({})", ::strerror(error.os_errno)) : "");
        return 1;
    }
    fmt::print("{}", words.json ? report->json() : report->text());
    return report->has_errors() ? 2 : 0;
}

int usage_error(std::string_view what) {
    fmt::print(stderr, "odradek-load: {}\n", what);
    return 64;
}

int main_of(int argc, char** argv) {
    CLI::App app{"Load for a Kafka broker. Exit code 2: the broker answered with errors, which are counted."};
    app.require_subcommand(1);
    Words words;
    for (const auto add : {&add_produce, &add_fetch, &add_end_to_end, &add_connect, &add_claim, &add_topics, &add_tail,
                           &add_groups, &add_commits}) {
        add(app, words);
    }
    CLI11_PARSE(app, argc, argv);

    const auto address = Address::parse(words.broker);
    if (!address) return usage_error(address.error().what);
    for (Common* common : words.commons) common->broker = *address;
    const auto codec = record::compression_type_named(words.codec);
    if (!codec) return usage_error("no such codec");
    for (BatchSpec* batch : words.batches) batch->compression = record::Compression::of(*codec);
    raise_descriptor_limit();
    for (const auto& word : words.all) {
        if (word.command->parsed()) return print(word.run(), words);
    }
    return usage_error("no command");
}

}  // namespace
}  // namespace odr::bench

int main(int argc, char** argv) {
    ::signal(SIGPIPE, SIG_IGN);
    return odr::bench::main_of(argc, argv);
}
