#include "console/metrics.h"

#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>

namespace odr::console {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> out;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = text.find('\n', begin);
        out.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    return out;
}

// The lines with samples of one name.
std::vector<std::string> samples(const BrokerFigures& figures, const std::string& name) {
    std::vector<std::string> out;
    for (const std::string& line : lines_of(metrics_text(figures))) {
        if (line.starts_with(name + " ") || line.starts_with(name + "{")) out.push_back(line);
    }
    return out;
}
using Lines = std::vector<std::string>;

storage::ScrubFinding finding(std::string file, io::FilePos position, std::int64_t found_ms) {
    return {.file = std::move(file), .position = position, .length = 10, .found = TimestampMs{found_ms}, .what = "x"};
}

BrokerFigures all_figures() {
    BrokerFigures out;
    out.version = "1.2.3";
    out.partitions = 3;
    out.connections = 7;
    out.scrubs.push_back({.log_dir = "/data", .state = {}});
    storage::ScrubState& state = out.scrubs.back().state;
    state.cycle = 4;
    state.cycle_started = TimestampMs{1'700'000'000'500};
    state.bytes = 5'000'000'000;
    state.segments = 20;
    state.damaged_ranges = 5;
    state.findings = {finding("orders-0/00000000000000000000.log", 0, 1'700'000'000'000),
                      finding("orders-0/00000000000000000000.log", 90, 1'700'000'002'250),
                      finding("my-topic-12/00000000000000000010.log", 0, 1'700'000'001'000)};
    out.log_dirs.push_back({.info = {.path = "/data", .total_bytes = 1000, .usable_bytes = 400}, .logs = 3});
    out.log_dirs.push_back({.info = {.path = "/lost", .offline = true}});
    out.log_dirs.push_back({.info = {.path = "/slow", .holds_back = true}, .logs_bytes = 99});
    out.cleaner.directories["/data"] = {.uncleanable_partitions = 2, .uncleanable_bytes = 300};
    out.cleaner.max_dirty_percent = 55;
    out.cleaner.bytes_read = 4096;
    out.process = ProcessFigures{.cpu_seconds = 1.25, .resident_bytes = 11'000'000, .open_fds = 40};
    return out;
}

TEST(Metrics, EachFamilyHasHelpAndTypeOnceAndItsSamplesRightBehind) {
    const std::regex sample{
        R"re(([a-z_:][a-z0-9_:]*)(\{[a-zA-Z_]+="([^"\\\n]|\\.)*"(,[a-zA-Z_]+="([^"\\\n]|\\.)*")*\})? (-?[0-9.e+-]+))re"};
    std::set<std::string> seen;
    std::set<std::string> series;
    std::string family, type;
    const std::string text = metrics_text(all_figures());
    ASSERT_TRUE(text.ends_with('\n'));
    const std::vector<std::string> lines = lines_of(text);
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const std::string& line = lines[i];
        if (line.starts_with("# HELP ")) {
            family = line.substr(7, line.find(' ', 7) - 7);
            EXPECT_TRUE(seen.insert(family).second) << line;
            ASSERT_LT(i + 1, lines.size());
            const std::string begin = "# TYPE " + family + " ";
            ASSERT_TRUE(lines[i + 1].starts_with(begin)) << lines[i + 1];
            type = lines[++i].substr(begin.size());
            EXPECT_TRUE(type == "counter" || type == "gauge") << type;
            EXPECT_EQ(family.ends_with("_total"), type == "counter") << family;
            continue;
        }
        std::smatch parts;
        ASSERT_TRUE(std::regex_match(line, parts, sample)) << line;
        EXPECT_EQ(parts[1], family);
        EXPECT_TRUE(series.insert(parts[1].str() + parts[2].str()).second) << line;
    }
    EXPECT_GT(seen.size(), 30U);
}

TEST(Metrics, TheScrubsCountsAreThoseOfItsStateFile) {
    const BrokerFigures figures = all_figures();
    const std::string dir = R"({logDirectory="/data"} )";
    EXPECT_EQ(samples(figures, "odradek_log_scrub_read_bytes_total"),
              Lines{"odradek_log_scrub_read_bytes_total" + dir + "5000000000"});
    EXPECT_EQ(samples(figures, "odradek_log_scrub_damaged_ranges_total"),
              Lines{"odradek_log_scrub_damaged_ranges_total" + dir + "5"});
    EXPECT_EQ(samples(figures, "odradek_log_scrub_damaged_ranges"),
              (Lines{R"(odradek_log_scrub_damaged_ranges{logDirectory="/data",topic="my-topic",partition="12"} 1)",
                     R"(odradek_log_scrub_damaged_ranges{logDirectory="/data",topic="orders",partition="0"} 2)"}));
    EXPECT_EQ(samples(figures, "odradek_log_scrub_last_damage_timestamp_seconds"),
              Lines{"odradek_log_scrub_last_damage_timestamp_seconds" + dir + "1700000002.25"});
    EXPECT_EQ(samples(figures, "odradek_log_scrub_pass_start_timestamp_seconds"),
              Lines{"odradek_log_scrub_pass_start_timestamp_seconds" + dir + "1700000000.5"});
}

TEST(Metrics, APassCountsOnceItIsOver) {
    BrokerFigures figures = all_figures();
    const std::string name = R"(odradek_log_scrub_passes_total{logDirectory="/data"} )";
    EXPECT_EQ(samples(figures, "odradek_log_scrub_passes_total"), Lines{name + "3"});
    figures.scrubs[0].state.cycle_ended = TimestampMs{1'700'000'001'000};
    EXPECT_EQ(samples(figures, "odradek_log_scrub_passes_total"), Lines{name + "4"});
    figures.scrubs[0].state = {};
    EXPECT_EQ(samples(figures, "odradek_log_scrub_passes_total"), Lines{name + "0"});
}

TEST(Metrics, WithoutTheScrubThereIsNothingOfIt) {
    BrokerFigures figures = all_figures();
    figures.scrubs.clear();
    EXPECT_EQ(metrics_text(figures).find("scrub"), std::string::npos);
}

TEST(Metrics, WithoutDamageNoPartitionIsNamed) {
    BrokerFigures figures = all_figures();
    figures.scrubs[0].state.findings.clear();
    EXPECT_EQ(samples(figures, "odradek_log_scrub_damaged_ranges"), Lines{});
    EXPECT_EQ(samples(figures, "odradek_log_scrub_last_damage_timestamp_seconds"), Lines{});
    EXPECT_EQ(samples(figures, "odradek_log_scrub_damaged_ranges_total").size(), 1U);
}

TEST(Metrics, AnOfflineDirectoryIsCountedAndHasNoSizes) {
    const BrokerFigures figures = all_figures();
    EXPECT_EQ(samples(figures, "kafka_log_logmanager_offlinelogdirectorycount"),
              Lines{"kafka_log_logmanager_offlinelogdirectorycount 1"});
    EXPECT_EQ(samples(figures, "kafka_log_logmanager_logdirectoryoffline"),
              (Lines{R"(kafka_log_logmanager_logdirectoryoffline{logDirectory="/data"} 0)",
                     R"(kafka_log_logmanager_logdirectoryoffline{logDirectory="/lost"} 1)",
                     R"(kafka_log_logmanager_logdirectoryoffline{logDirectory="/slow"} 0)"}));
    EXPECT_EQ(samples(figures, "odradek_log_directory_log_bytes"),
              (Lines{R"(odradek_log_directory_log_bytes{logDirectory="/data"} 0)",
                     R"(odradek_log_directory_log_bytes{logDirectory="/slow"} 99)"}));
    EXPECT_EQ(samples(figures, "odradek_log_directory_held_back").back(),
              R"(odradek_log_directory_held_back{logDirectory="/slow"} 1)");
}

TEST(Metrics, NamesOfKafkasBeansAreSpelledAsTheJmxExporterDoes) {
    const BrokerFigures figures = all_figures();
    EXPECT_EQ(samples(figures, "kafka_server_replicamanager_partitioncount"),
              Lines{"kafka_server_replicamanager_partitioncount 3"});
    EXPECT_EQ(samples(figures, "kafka_log_logcleanermanager_uncleanable_partitions_count"),
              Lines{R"(kafka_log_logcleanermanager_uncleanable_partitions_count{logDirectory="/data"} 2)"});
    EXPECT_EQ(samples(figures, "kafka_log_logcleanermanager_max_dirty_percent"),
              Lines{"kafka_log_logcleanermanager_max_dirty_percent 55"});
}

TEST(Metrics, LabelsAreEscapedAndAlwaysUtf8) {
    constexpr struct {
        const char* path;
        const char* want;
    } kPaths[] = {
        {R"(/a "b" \c)", R"(/a \"b\" \\c)"},
        {"/line\nbreak", R"(/line\nbreak)"},
        {"/d\xc3\xa4ten/\xe2\x82\xac/\xf0\x9f\x90\x88", "/d\xc3\xa4ten/\xe2\x82\xac/\xf0\x9f\x90\x88"},
        {"/latin\xe4", "/latin?"},
        {"/over\xc0\xaflong", "/over??long"},
        {"/long\xe0\x80\xaf", "/long???"},
        {"/surrogate\xed\xa0\x80", "/surrogate???"},
        {"/beyond\xf4\x90\x80\x80", "/beyond????"},
        {"/cut\xe2\x82", "/cut??"},
    };
    for (const auto& [path, want] : kPaths) {
        BrokerFigures figures;
        figures.scrubs.push_back({.log_dir = path, .state = {}});
        EXPECT_EQ(samples(figures, "odradek_log_scrub_segments_total"),
                  Lines{std::string{R"(odradek_log_scrub_segments_total{logDirectory=")"} + want + R"("} 0)"});
    }
}

TEST(ProcessFigures, AreReadBehindWhateverTheProgramIsCalled) {
    const std::string name = "77 (a) b (c) 1 2 3) ";
    const std::string stat =
        name + "S 1 1 1 0 -1 4194560 100 0 3 0 250 50 0 0 20 0 9 0 1000 123456789 2500 184467440737";
    const auto figures = parse_process_figures(stat, "cpu 1 2 3\nbtime 1700000000\nprocesses 1\n",
                                               {.ticks_per_second = 100, .page_bytes = 4096});
    ASSERT_TRUE(figures);
    EXPECT_DOUBLE_EQ(figures->cpu_seconds, 3.0);
    EXPECT_DOUBLE_EQ(figures->start_seconds, 1'700'000'010);
    EXPECT_EQ(figures->virtual_bytes, 123'456'789U);
    EXPECT_EQ(figures->resident_bytes, 2500U * 4096);
    for (const char* broken : {"", "77 (a", "77 (a) S 1 2", "77 (a) S x x x x x x x x x x x x x x x x x x x x x x"}) {
        EXPECT_FALSE(parse_process_figures(broken, "\nbtime 1\n", {})) << broken;
    }
    EXPECT_FALSE(parse_process_figures(stat, "cpu 1\n", {}));
}

TEST(ProcessFigures, OfThisProcessAreThere) {
    const auto figures = read_process_figures();
    ASSERT_TRUE(figures);
    EXPECT_GT(figures->resident_bytes, 100'000U);
    EXPECT_GE(figures->virtual_bytes, figures->resident_bytes);
    EXPECT_GE(figures->open_fds, 3U);
    EXPECT_GE(figures->max_fds, figures->open_fds);
    EXPECT_GT(figures->start_seconds, 1'500'000'000);
}

}  // namespace
}  // namespace odr::console
