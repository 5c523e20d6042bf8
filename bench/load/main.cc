// odradek-load: load for a Kafka broker, Odradek or another, and what it costs the broker.
#include <fmt/core.h>
#include <signal.h>

#include <CLI/CLI.hpp>

#include "load/commands.h"

namespace odr::bench {
namespace {

constexpr std::string_view kDefaultBroker = "127.0.0.1:9092";

// What the command line says, before it is checked.
struct Words {
    std::string broker{kDefaultBroker};
    std::string codec = "none";
    bool json = false;
};

void add_common(CLI::App& command, Common& common, Words& words) {
    command.add_option("--broker", words.broker, "host:port")->capture_default_str();
    command.add_option("--broker-pid", common.broker_pid, "measure this process's CPU time and memory");
    command.add_option("--topic", common.topic, "the topic's name; by default one of this run's own");
    command.add_flag("--floor", common.is_floor, "the other side is a floor program: no topic to create");
    command.add_flag("--keep-topic", common.keep_topic, "do not delete the topic afterwards");
    command.add_flag("--json", words.json, "print one line of JSON");
}

void add_batch(CLI::App& command, BatchSpec& batch, Words& words) {
    command.add_option("--batch-bytes", batch.batch_bytes, "record values in a batch, bytes")->capture_default_str();
    command.add_option("--record-bytes", batch.record_bytes, "one record's value, bytes")->capture_default_str();
    command.add_option("--codec", words.codec, "none, gzip, snappy, lz4 or zstd")->capture_default_str();
}

void add_limits(CLI::App& command, Limits& warmup, Limits& limits) {
    command.add_option("--warmup-seconds", warmup.seconds, "load before the measurement")->capture_default_str();
    command.add_option("--warmup-bytes", warmup.bytes, "at most so much of it (0: no limit)")->capture_default_str();
    command.add_option("--seconds", limits.seconds, "measure for so long (0: no limit)")->capture_default_str();
    command.add_option("--bytes", limits.bytes, "or for so many bytes (0: no limit)")->capture_default_str();
    command.add_option("--requests", limits.requests, "or for so many requests (0: no limit)")->capture_default_str();
}

CLI::App* add_produce(CLI::App& app, ProduceOptions& options, Words& words) {
    CLI::App* command = app.add_subcommand("produce", "send record batches");
    add_common(*command, options, words);
    add_batch(*command, options.batch, words);
    add_limits(*command, options.warmup, options.limits);
    command->add_option("--connections", options.connections)->capture_default_str();
    command->add_option("--partitions", options.partitions)->capture_default_str();
    command->add_option("--in-flight", options.in_flight, "requests on each connection")->capture_default_str();
    command->add_option("--acks", options.acks, "-1, 0 or 1")->capture_default_str();
    command->add_option("--rate", options.rate,
                        "requests a second, sent when due whether or not others are answered (0: as fast as answered)");
    command->add_flag("--verify", options.verify, "read everything back: CRC, offsets, count");
    return command;
}

CLI::App* add_fetch(CLI::App& app, FetchOptions& options, Words& words) {
    CLI::App* command = app.add_subcommand("fetch", "read partitions again and again");
    add_common(*command, options, words);
    add_batch(*command, options.batch, words);
    add_limits(*command, options.warmup, options.limits);
    command->add_option("--consumers", options.consumers)->capture_default_str();
    command->add_option("--partitions", options.partitions, "of the topic that is filled")->capture_default_str();
    command->add_option("--max-bytes", options.max_bytes, "of an answer")->capture_default_str();
    command->add_option("--fill-bytes", options.fill_bytes,
                        "create the topic and produce so much into each partition first");
    command->add_flag("--from-tail", options.from_tail, "start at the end and wait for more");
    command->add_flag("--check", options.check, "parse what comes: CRC, offsets, records");
    return command;
}

CLI::App* add_end_to_end(CLI::App& app, EndToEndOptions& options, Words& words) {
    CLI::App* command = app.add_subcommand("e2e", "how old records are when a consumer has them");
    add_common(*command, options, words);
    command->add_option("--rate", options.rate, "records a second, one a request")->capture_default_str();
    command->add_option("--record-bytes", options.record_bytes)->capture_default_str();
    command->add_option("--acks", options.acks)->capture_default_str();
    command->add_option("--warmup-seconds", options.warmup_seconds)->capture_default_str();
    command->add_option("--seconds", options.seconds)->capture_default_str();
    return command;
}

CLI::App* add_connect(CLI::App& app, ConnectOptions& options, Words& words) {
    CLI::App* command = app.add_subcommand("connect", "open many connections, then use them in turn");
    add_common(*command, options, words);
    add_batch(*command, options.batch, words);
    command->add_option("--connections", options.connections)->capture_default_str();
    command->add_flag("--all-at-once", options.all_at_once, "do not wait for one before the next");
    command->add_flag("--hello", options.hello, "a greeting on each and nothing else: what an idle one costs");
    command->add_option("--in-flight", options.in_flight, "connections with a request under way")
        ->capture_default_str();
    command->add_option("--warmup-requests", options.warmup_requests)->capture_default_str();
    command->add_option("--requests", options.requests)->capture_default_str();
    command->add_option("--seconds", options.seconds, "at most")->capture_default_str();
    return command;
}

CLI::App* add_claim(CLI::App& app, ClaimOptions& options, Words& words) {
    CLI::App* command = app.add_subcommand("claim", "announce large frames and send nothing");
    add_common(*command, options, words);
    command->add_option("--connections", options.connections)->capture_default_str();
    command->add_option("--frame-bytes", options.frame_bytes)->capture_default_str();
    command->add_option("--answer-seconds-max", options.answer_seconds_max)->capture_default_str();
    return command;
}

CLI::App* add_topics(CLI::App& app, TopicsOptions& options, Words& words) {
    CLI::App* command = app.add_subcommand("topics", "create a topic of many partitions");
    add_common(*command, options, words);
    command->add_option("--partitions", options.partitions)->capture_default_str();
    return command;
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

struct AllOptions {
    ProduceOptions produce;
    FetchOptions fetch;
    EndToEndOptions end_to_end;
    ConnectOptions connect;
    ClaimOptions claim;
    TopicsOptions topics;
};

int main_of(int argc, char** argv) {
    CLI::App app{"Load for a Kafka broker. Exit code 2: the broker answered with errors, which are counted."};
    app.require_subcommand(1);
    AllOptions all;
    Words words;
    const CLI::App* produce = add_produce(app, all.produce, words);
    const CLI::App* fetch = add_fetch(app, all.fetch, words);
    const CLI::App* end_to_end = add_end_to_end(app, all.end_to_end, words);
    const CLI::App* connect = add_connect(app, all.connect, words);
    const CLI::App* claim = add_claim(app, all.claim, words);
    const CLI::App* topics = add_topics(app, all.topics, words);
    CLI11_PARSE(app, argc, argv);

    const auto address = Address::parse(words.broker);
    if (!address) return usage_error(address.error().what);
    for (Common* common : std::initializer_list<Common*>{&all.produce, &all.fetch, &all.end_to_end, &all.connect,
                                                         &all.claim, &all.topics}) {
        common->broker = *address;
    }
    const auto codec = record::compression_type_named(words.codec);
    if (!codec) return usage_error("no such codec");
    for (BatchSpec* batch : {&all.produce.batch, &all.fetch.batch, &all.connect.batch}) {
        batch->compression = record::Compression::of(*codec);
    }
    raise_descriptor_limit();
    if (produce->parsed()) return print(run_produce(all.produce), words);
    if (fetch->parsed()) return print(run_fetch(all.fetch), words);
    if (end_to_end->parsed()) return print(run_end_to_end(all.end_to_end), words);
    if (connect->parsed()) return print(run_connect(all.connect), words);
    if (claim->parsed()) return print(run_claim(all.claim), words);
    if (topics->parsed()) return print(run_topics(all.topics), words);
    return usage_error("no command");
}

}  // namespace
}  // namespace odr::bench

int main(int argc, char** argv) {
    ::signal(SIGPIPE, SIG_IGN);
    return odr::bench::main_of(argc, argv);
}
