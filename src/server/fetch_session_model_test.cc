// Fetches in a session against what they stand for: a look at each partition of the session, in its order, of which
// only the news are told. That look is a fetch without a session, asked of the same broker at the same moment.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "server/connection_test_support.h"

namespace odr::server {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)
using protocol::FetchRequest;
using protocol::FetchResponse;

constexpr int kTopics = 3;
constexpr int kPartitionsEach = 4;
constexpr std::int32_t kWaitMs = 500;
constexpr std::int16_t kByName = 12;
constexpr std::int16_t kById = 17;

struct Place {
    int topic = 0;
    int partition = 0;
    friend auto operator<=>(const Place&, const Place&) = default;
};

// What a session knows of a partition, as KIP-227 says it.
struct Known {
    Place place;
    std::int64_t offset = 0;
    std::int32_t bytes_max = 0;
    std::int32_t leader_epoch = -1;
    std::int64_t high_watermark = -1;
    std::int64_t log_start_offset = -1;
};

// One partition in an answer.
struct Told {
    Place place;
    std::int16_t error = 0;
    std::int64_t high_watermark = 0, last_stable_offset = 0, log_start_offset = 0;
    std::size_t aborted = 0;
    Bytes records;
    std::string text() const {
        return fmt::format("{}-{} error={} hw={} lso={} start={} aborted={} bytes={}", place.topic, place.partition,
                           error, high_watermark, last_stable_offset, log_start_offset, aborted, records.size());
    }
};

struct Answer {
    std::int16_t error = 0;
    std::int32_t session_id = 0;
    std::vector<Told> told;
    std::size_t bytes() const {
        std::size_t out = 0;
        for (const Told& each : told) out += each.records.size();
        return out;
    }
    bool has_error() const {
        return std::ranges::any_of(told, [](const Told& each) { return each.error != 0; });
    }
};

std::string text_of(const std::vector<Told>& told) {
    std::string out;
    for (const Told& each : told) out += each.text() + "\n";
    return out;
}

class FetchSessionModelTest : public ConnectionTest, public ::testing::WithParamInterface<int> {
protected:
    FetchSessionModelTest() : seeded_{static_cast<std::uint64_t>(GetParam()) + 1} {
        version_ = GetParam() % 2 == 0 ? kByName : kById;
        publish();
        for (int topic = 0; topic < kTopics; ++topic) {
            for (int i = 0; i < kPartitionsEach; ++i) lead_place({topic, i});
        }
        client_ = connect();
        reference_ = connect();
    }

    std::size_t below(std::size_t n) { return static_cast<std::size_t>(seeded_.next() % n); }
    bool one_in(std::size_t n) { return below(n) == 0; }
    Place any_place() { return {static_cast<int>(below(kTopics)), static_cast<int>(below(kPartitionsEach))}; }
    static std::string name(int topic) { return "topic" + std::to_string(topic); }
    static std::uint8_t id(int topic) { return static_cast<std::uint8_t>(20 + topic); }
    static replication::TopicIdPartition key(const Place& place) {
        return {uuid(id(place.topic)), PartitionIndex{place.partition}};
    }

    void publish() {
        TestCluster cluster;
        cluster.broker(1);
        for (int topic = 0; topic < kTopics; ++topic) {
            const std::string text = name(topic);
            cluster.topic(text, id(topic));
            for (int i = 0; i < kPartitionsEach; ++i) cluster.partition(id(topic), i, {1}, 1);
        }
        images_.publish(cluster.changes(), cluster.finish());
    }
    void lead_place(const Place& place) {
        config::LogConfig small;
        small.segment_bytes = 2000;
        small.retention_bytes = 3000;
        const auto led = replicas_->become_leader(
            io::MayBlock::for_test(), {.topic_partition = {name(place.topic), PartitionIndex{place.partition}},
                                       .topic_id = uuid(id(place.topic)),
                                       .leader_epoch = LeaderEpoch{++epochs_[place]},
                                       .config = std::make_shared<const config::LogConfig>(small)});
        EXPECT_TRUE(led) << led.error().what;
    }

    // --- what happens to partitions

    static io::Task<void> append(std::shared_ptr<replication::Partition> partition, Bytes bytes,
                                 storage::AppendOrigin origin) {
        replication::AppendGroup group;
        partition->enqueue(group.add({.batch = *record::MutableRecordBatch::parse(bytes), .origin = origin}));
        co_await group.done();
        EXPECT_TRUE(group.at(0).pending.result) << group.at(0).pending.result.error().what;
    }
    record::RecordBatchBuilder::Options transactional(const Place& place, std::int32_t sequence, bool is_control) {
        record::RecordBatchBuilder::Options options;
        options.producer_id = ProducerId{100 + place.topic * kPartitionsEach + place.partition};
        options.producer_epoch = ProducerEpoch{0};
        options.base_sequence = sequence;
        options.is_transactional = true;
        options.is_control = is_control;
        return options;
    }
    void append_somewhere() {
        const Place place = any_place();
        const auto partition = replicas_->find(key(place));
        if (partition == nullptr || partition->log().is_offline()) return;
        const std::string value(1 + below(400), 'v');
        Bytes bytes;
        auto origin = storage::AppendOrigin::client;
        if (!one_in(3)) {
            record::RecordBatchBuilder builder{{}};
            builder.append(clock_.now(), std::nullopt, as_bytes(value));
            bytes = *builder.build();
        } else if (const auto open = in_transaction_.find(place); open != in_transaction_.end() && one_in(2)) {
            record::RecordBatchBuilder builder{transactional(place, -1, true)};
            builder.append_end_txn_marker(
                clock_.now(), one_in(2) ? record::ControlRecordType::commit : record::ControlRecordType::abort,
                {.coordinator_epoch = 0});
            bytes = *builder.build();
            origin = storage::AppendOrigin::coordinator;
            in_transaction_.erase(open);
        } else {
            record::RecordBatchBuilder builder{transactional(place, sequences_[place]++, false)};
            builder.append(clock_.now(), std::nullopt, as_bytes(value));
            bytes = *builder.build();
            in_transaction_.insert(place);
        }
        processor_->reactor().post([partition, bytes = std::move(bytes), origin]() mutable {
            io::spawn(append(partition, std::move(bytes), origin));
        });
    }
    // Gives: whether it is something that a waiting fetch is woken for.
    bool change_something() {
        const std::size_t what = below(22);
        const Place place = any_place();
        const auto partition = replicas_->find(key(place));
        bool wakes = true;
        if (what < 13) {
            append_somewhere();
        } else if (what < 16) {
            wakes = false;
            if (partition != nullptr) {
                const auto high = static_cast<std::size_t>(partition->high_watermark().raw());
                (void)partition->log().advance_log_start_offset(Offset{static_cast<std::int64_t>(below(high + 1))});
            }
        } else if (what < 17) {
            wakes = false;
            if (partition != nullptr) {
                EXPECT_TRUE(partition->log().delete_old_segments(io::MayBlock::for_test(), clock_.now()));
            }
        } else if (what < 18) {
            if (place == offline_) return false;
            EXPECT_TRUE(replicas_->remove(io::MayBlock::for_test(), key(place), false));
            gone_.insert(place);
        } else if (what < 21) {
            if (gone_.empty() && place == offline_) return false;
            lead_place(gone_.empty() ? place : *gone_.begin());  // opened again, or led in the next epoch
            if (!gone_.empty()) gone_.erase(gone_.begin());
        } else if (one_in(10)) {
            publish();
        }
        settle();
        return wakes;
    }
    void take_offline(const Place& place) {
        const auto partition = replicas_->find(key(place));
        if (partition == nullptr) return;
        offline_ = place;
        partition->log().set_offline();
        replicas_->close_offline();
        settle();
    }

    // --- fetches

    void add(FetchRequest& request, const Known& known) {
        auto& topic = request.topics.emplace_back();
        if (version_ == kByName) topic.topic = names_[static_cast<std::size_t>(known.place.topic)];
        if (version_ != kByName) topic.topic_id = uuid(id(known.place.topic));
        topic.partitions.push_back({.partition = known.place.partition,
                                    .current_leader_epoch = known.leader_epoch,
                                    .fetch_offset = known.offset,
                                    .partition_max_bytes = known.bytes_max});
    }
    FetchRequest settings(std::int32_t wait_ms) const {
        FetchRequest out;
        out.max_wait_ms = wait_ms;
        out.min_bytes = 1;
        out.max_bytes = bytes_max_;
        out.isolation_level = isolation_;
        return out;
    }
    void send_fetch(Id client, const FetchRequest& request) {
        send_all(client, frame(version_, ++correlation_, request));
    }
    // The answer to the latest fetch; nullopt while it waits.
    std::optional<Answer> take_answer(Id client) {
        while (receive(client)) {
        }
        const auto all = frames(client);
        if (all.empty()) return std::nullopt;
        protocol::Reader reader{all.at(0)};
        EXPECT_TRUE(protocol::decode_response_header(reader, protocol::api_info(protocol::ApiKey::fetch), version_));
        const auto response = protocol::decode_message<FetchResponse>(reader.rest(), version_);
        EXPECT_TRUE(response);
        Answer out{.error = response->error_code, .session_id = response->session_id, .told = {}};
        for (const auto& topic : response->responses) {
            for (const auto& each : topic.partitions) {
                const int number = version_ == kByName ? topic.topic.back() - '0' : topic.topic_id.bytes[0] - 20;
                const ByteView records = each.records.bytes();
                out.told.push_back({.place = {number, each.partition_index},
                                    .error = each.error_code,
                                    .high_watermark = each.high_watermark,
                                    .last_stable_offset = each.last_stable_offset,
                                    .log_start_offset = each.log_start_offset,
                                    .aborted = each.aborted_transactions ? each.aborted_transactions->size() : 0,
                                    .records = {records.begin(), records.end()}});
            }
        }
        received_[client].clear();
        return out;
    }
    // All partitions of the session, as they are now.
    Answer look_at_all() {
        FetchRequest request = settings(0);
        request.session_epoch = -1;
        for (const Known& known : session_) add(request, known);
        send_fetch(reference_, request);
        auto answer = take_answer(reference_);
        EXPECT_TRUE(answer);
        return std::move(*answer);
    }
    // What of it the client must be told, and the session's order and memory afterwards.
    std::vector<Told> news_of(const Answer& all, bool takes_turns) {
        std::vector<Told> out;
        for (const Told& each : all.told) {
            const auto known = std::ranges::find(session_, each.place, &Known::place);
            const bool news = !each.records.empty() || each.error != 0 ||
                              known->high_watermark != each.high_watermark ||
                              known->log_start_offset != each.log_start_offset;
            known->high_watermark = each.error != 0 ? -1 : each.high_watermark;
            known->log_start_offset = each.log_start_offset;
            if (takes_turns && !each.records.empty()) std::rotate(known, known + 1, session_.end());
            if (news) out.push_back(each);
        }
        return out;
    }
    // What a consumer asks next of partitions that it heard of: it goes on behind the records, or where the log starts.
    void consume(const std::vector<Told>& told) {
        for (const Told& each : told) {
            const auto known = std::ranges::find(session_, each.place, &Known::place);
            Known next = *known;
            if (each.error == static_cast<std::int16_t>(ErrorCode::offset_out_of_range)) {
                const auto partition = replicas_->find(key(each.place));
                if (partition != nullptr) next.offset = partition->log().log_start_offset().raw();
            } else if (each.error != 0) {
                next.leader_epoch = -1;
            } else if (!each.records.empty()) {
                ByteView rest{each.records};
                while (const auto batch = record::RecordBatchView::parse(rest)) {
                    next.offset = batch->last_offset().raw() + 1;
                    rest = rest.subspan(batch->size_in_bytes());
                }
            }
            const bool is_same = next.offset == known->offset && next.leader_epoch == known->leader_epoch;
            if (!is_same && !one_in(10)) named_[each.place] = next;  // now and then it does not get to it
        }
    }
    void choose_settings() {
        bytes_max_ = one_in(3) ? static_cast<std::int32_t>(below(1500)) : 1 << 20;
        if (one_in(15)) isolation_ = static_cast<std::int8_t>(1 - isolation_);
        for (std::size_t n = one_in(4) ? below(4) : 0; n > 0; --n) {
            const Place place = any_place();
            Known wanted{.place = place, .bytes_max = 100 + static_cast<std::int32_t>(below(4000))};
            if (one_in(4)) wanted.leader_epoch = epochs_[place];
            if (const auto partition = replicas_->find(key(place))) {
                const auto end = static_cast<std::size_t>(partition->high_watermark().raw());
                wanted.offset = static_cast<std::int64_t>(below(end + 2));
            }
            named_[place] = wanted;
        }
    }
    // The next fetch of the session, in the request and in the model.
    FetchRequest next_request(std::int32_t wait_ms) {
        FetchRequest request = settings(wait_ms);
        request.session_id = session_id_;
        request.session_epoch = session_id_ == 0 ? 0 : session_epoch_;
        for (const auto& [place, known] : named_) {
            add(request, known);
            const auto found = std::ranges::find(session_, place, &Known::place);
            if (found == session_.end()) {
                session_.push_back(known);
            } else {
                found->offset = known.offset;
                found->bytes_max = known.bytes_max;
                found->leader_epoch = known.leader_epoch;
            }
        }
        named_.clear();
        for (std::size_t n = session_id_ != 0 && one_in(8) ? 1 + below(3) : 0; n > 0; --n) {
            const Place place = any_place();
            auto& topic = request.forgotten_topics_data.emplace_back();
            if (version_ == kByName) topic.topic = names_[static_cast<std::size_t>(place.topic)];
            if (version_ != kByName) topic.topic_id = uuid(id(place.topic));
            topic.partitions = {place.partition};
            std::erase_if(session_, [&](const Known& known) { return known.place == place; });
        }
        return request;
    }
    // One fetch, and what it should have told.
    void fetch_and_compare() {
        choose_settings();
        const bool waits = one_in(3);
        const bool was_in_session = session_id_ != 0;
        send_fetch(client_, next_request(waits ? kWaitMs : 0));
        auto answer = take_answer(client_);
        bool wakes = true;
        for (int n = 0; !answer && n < 5; ++n) {
            ASSERT_TRUE(waits) << "no answer";
            wakes = change_something();
            answer = take_answer(client_);
        }
        const Answer all = look_at_all();
        if (!answer) {
            EXPECT_FALSE(wakes && (all.bytes() > 0 || all.has_error())) << "slept over\n" << text_of(all.told);
            pass(kWaitMs);
            answer = take_answer(client_);
            ++timed_out_;
        }
        ASSERT_TRUE(answer);
        ASSERT_EQ(answer->error, 0);
        const std::vector<Told> news = news_of(all, was_in_session);
        const std::vector<Told>& expected = was_in_session ? news : all.told;  // the first one tells everything
        ASSERT_EQ(text_of(answer->told), text_of(expected)) << "of\n" << text_of(all.told);
        for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_EQ(answer->told[i].records, expected[i].records);
        ASSERT_EQ(answer->session_id != 0, !session_.empty());
        left_out_ += static_cast<int>(all.told.size() - answer->told.size());
        told_ += static_cast<int>(answer->told.size());
        session_epoch_ = session_id_ == answer->session_id ? session_epoch_ + 1 : 1;
        session_id_ = answer->session_id;
        consume(answer->told);
    }

    SeededRandom seeded_;
    std::int16_t version_ = kByName;
    std::vector<std::string> names_{name(0), name(1), name(2)};
    std::map<Place, std::int32_t> epochs_;
    std::map<Place, std::int32_t> sequences_;
    std::set<Place> in_transaction_;
    std::set<Place> gone_;
    std::optional<Place> offline_;
    Id client_ = 0;
    Id reference_ = 0;
    std::int32_t correlation_ = 0;
    std::vector<Known> session_;
    std::map<Place, Known> named_;
    std::int32_t session_id_ = 0;
    std::int32_t session_epoch_ = 0;
    std::int8_t isolation_ = 0;
    std::int32_t bytes_max_ = 0;
    int told_ = 0, left_out_ = 0, timed_out_ = 0;
};

TEST_P(FetchSessionModelTest, AFetchInASessionTellsWhatALookAtEveryPartitionWouldHaveBeenNews) {
    for (int topic = 0; topic < kTopics; ++topic) {
        for (int i = 0; i < kPartitionsEach; ++i) named_[{topic, i}] = {.place = {topic, i}, .bytes_max = 1000};
    }
    for (int step = 0; step < 200; ++step) {
        SCOPED_TRACE(fmt::format("seed {} step {}", GetParam(), step));
        for (std::size_t n = below(4); n > 0; --n) change_something();
        if (step == 180) take_offline(any_place());
        ASSERT_NO_FATAL_FAILURE(fetch_and_compare());
        if (session_.empty()) named_[any_place()] = {.place = any_place(), .bytes_max = 1000};
    }
    EXPECT_GT(told_, 200);
    EXPECT_GT(left_out_, 400);
    EXPECT_GT(timed_out_, 0);
}

INSTANTIATE_TEST_SUITE_P(Seeds, FetchSessionModelTest, ::testing::Range(0, 6));

}  // namespace
}  // namespace odr::server
