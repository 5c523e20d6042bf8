// Fetch (key 1), versions 4-18, for consumers.
// Way:   session -> plan a slice of each partition's log -> enough bytes? else hang on the partitions, or on the
// session
//        -> answer with file slices, which the connection sends by sendfile. What is not in the page cache is read by
//        threads of its disk. Of a session only those partitions are looked at that may have something to say.
// Kafka: KafkaApis.handleFetchRequest, ReplicaManager.fetchMessages, DelayedFetch.
#include <algorithm>
#include <limits>
#include <span>

#include "protocol/generated/fetch_request.h"
#include "protocol/generated/fetch_response.h"
#include "replication/fetch_waiter.h"
#include "server/fetch_session.h"
#include "server/handlers/partition_lookup.h"
#include "server/handlers/serve.h"

namespace odr::server {
namespace {

using protocol::FetchRequest;
using protocol::FetchResponse;
using PartitionData = FetchResponse::PartitionData;

constexpr std::int8_t kReadCommitted = 1;

// One partition on its way from the request to the answer.
struct Slot {
    const FetchTarget* target;
    std::shared_ptr<replication::Partition> partition;
    PartitionData data;
    storage::ReadPlan plan;
    Offset high_watermark_seen{0};
    bool needs_disk = false;
    bool is_at_end = false;  // of what its reader may see, and has nothing else to tell of than changes
};

// What all partitions of a fetch share.
struct FetchRound {
    std::vector<Slot> slots;
    std::size_t bytes = 0;     // planned
    bool must_answer = false;  // an error, or something else than bytes to tell
    bool needs_disk = false;
};

struct FetchParams {
    std::size_t bytes_max;
    bool is_read_committed;
    bool is_from_replica;
};

void refuse(Slot& slot, const Error& error) {
    slot.data.error_code = static_cast<std::int16_t>(error.code);
    slot.data.high_watermark = -1;
    slot.data.last_stable_offset = -1;
    slot.data.log_start_offset = -1;
    slot.data.aborted_transactions = std::nullopt;
    slot.data.records = protocol::Records{ByteView{}};
}

// A consumer that followed another leader asks where its last epoch ended here (KIP-595).
// Gives: whether its log and ours part before its offset; then the answer says where.
Result<bool> check_divergence(Slot& slot) {
    if (slot.target->last_fetched_epoch < 0) return false;
    const LeaderEpoch wanted{slot.target->last_fetched_epoch};
    const storage::EpochEndOffset end = slot.partition->log().end_offset_for(wanted);
    if (end.leader_epoch == kNoLeaderEpoch || end.end_offset == kNoOffset) {
        return fail(ErrorCode::offset_out_of_range, "the log has no end for the last fetched epoch");
    }
    if (end.leader_epoch >= wanted && end.end_offset >= slot.target->fetch_offset) return false;
    slot.data.diverging_epoch.epoch = end.leader_epoch.raw();
    slot.data.diverging_epoch.end_offset = end.end_offset.raw();
    return true;
}

Result<void> find_slot_partition(const RequestContext& context, Slot& slot) {
    const FetchTarget& target = *slot.target;
    const std::string_view name = target.topic == nullptr ? std::string_view{} : std::string_view{*target.topic};
    ODR_TRY(topic, find_topic(context, {.name = name, .id = target.topic_id, .by_id = context.version() >= 13}));
    ODR_TRY(partition, find_partition(context, *topic, PartitionIndex{target.partition}));
    ODR_CHECK(check_leader_epoch(*partition, target.current_leader_epoch));
    slot.partition = std::move(partition);
    return {};
}

storage::ReadRequest read_request(const Slot& slot, const FetchParams& params, std::size_t bytes_left,
                                  bool min_one_message) {
    const storage::Log& log = slot.partition->log();
    return {.from = slot.target->fetch_offset,
            .bytes_max = std::min(bytes_left, static_cast<std::size_t>(std::max(0, slot.target->bytes_max))),
            .upper_bound = params.is_read_committed ? log.last_stable_offset() : log.high_watermark(),
            .min_one_message = min_one_message};
}

// Fills in what the log says of itself, then what the client may read of it.
void tell_offsets(Slot& slot, const FetchParams& params) {
    const storage::Log& log = slot.partition->log();
    slot.high_watermark_seen = log.high_watermark();
    slot.data.high_watermark = slot.high_watermark_seen.raw();
    slot.data.last_stable_offset = log.last_stable_offset().raw();
    slot.data.log_start_offset = log.log_start_offset().raw();
    slot.data.records = protocol::Records{ByteView{}};
    slot.data.aborted_transactions = std::nullopt;
    if (params.is_read_committed) slot.data.aborted_transactions.emplace();
}

// Takes the plan of one partition into the round.
void accept_plan(FetchRound& round, Slot& slot, Result<std::optional<storage::ReadPlan>> plan) {
    if (!plan) {
        refuse(slot, plan.error());
        round.must_answer = true;
    } else if (!*plan) {
        slot.needs_disk = round.needs_disk = true;
    } else {
        slot.plan = std::move(**plan);
        round.bytes += slot.plan.slice.length;
    }
}

void plan_slot(const RequestContext& context, FetchContext& session, const FetchParams& params, FetchRound& round,
               Slot& slot) {
    if (const Result<void> found = find_slot_partition(context, slot); !found) {
        refuse(slot, found.error());
        round.must_answer = true;
        return;
    }
    session.watch(round.slots.size() - 1, *slot.partition);
    tell_offsets(slot, params);
    const Result<bool> diverges = check_divergence(slot);
    if (!diverges) refuse(slot, diverges.error());
    if (!diverges || *diverges) {
        round.must_answer = true;
        return;
    }
    const std::size_t bytes_left = params.bytes_max - std::min(params.bytes_max, round.bytes);
    const storage::ReadRequest wanted = read_request(slot, params, bytes_left, round.bytes == 0);
    // Where a leader epoch ends is asked anew each time.
    slot.is_at_end = wanted.from >= wanted.upper_bound && slot.target->last_fetched_epoch < 0;
    accept_plan(round, slot, slot.partition->log().plan_read(wanted));
}

FetchRound plan_round(const RequestContext& context, FetchContext& session, const FetchParams& params,
                      std::span<const FetchTarget> targets) {
    FetchRound round;
    round.slots.reserve(targets.size());
    for (const FetchTarget& target : targets) {
        Slot& slot = round.slots.emplace_back(Slot{.target = &target, .partition = {}, .data = {}, .plan = {}});
        slot.data.partition_index = target.partition;
        if (params.is_from_replica) {
            refuse(slot, {.code = ErrorCode::not_leader_or_follower, .what = "the fetching broker has no replica"});
            round.must_answer = true;
        } else {
            plan_slot(context, session, params, round, slot);
        }
    }
    return round;
}

// The first that no reactor could plan, or null.
Slot* first_that_needs_disk(FetchRound& round) {
    const auto found = std::ranges::find_if(round.slots, &Slot::needs_disk);
    return found != round.slots.end() ? &*found : nullptr;
}

// On a thread of the first one's disk: the plans that no reactor could make, in order, within what the others leave, up
// to the first on another disk.
void plan_from_disk(io::MayBlock may_block, const FetchParams& params, FetchRound& round, Slot* first) {
    const io::BlockingPool& here = first->partition->reads();
    for (Slot& slot : std::span{first, round.slots.data() + round.slots.size()}) {
        if (!slot.needs_disk) continue;
        if (&slot != first && &slot.partition->reads() != &here) return;
        slot.needs_disk = false;
        const std::size_t bytes_left = params.bytes_max - std::min(params.bytes_max, round.bytes);
        auto plan = slot.partition->log().read(may_block, read_request(slot, params, bytes_left, round.bytes == 0));
        if (!plan) {
            accept_plan(round, slot, fail(plan.error()));
        } else {
            accept_plan(round, slot, std::move(*plan));
        }
    }
}

// read_committed: which transactions in the slice were aborted.
void add_aborted(Slot& slot, const std::vector<storage::AbortedTransaction>& aborted) {
    for (const storage::AbortedTransaction& each : aborted) {
        slot.data.aborted_transactions->push_back(
            {.producer_id = each.producer_id.raw(), .first_offset = each.first_offset.raw()});
    }
}

io::Task<void> find_aborted(FetchRound* round) {
    for (Slot& slot : round->slots) {
        if (slot.plan.slice.empty() || !slot.data.aborted_transactions) continue;
        const storage::Log& log = slot.partition->log();
        const Offset from = slot.target->fetch_offset;
        const Offset until = log.last_stable_offset();
        if (const auto known = log.plan_aborted_transactions(from, until)) {
            add_aborted(slot, *known);
            continue;
        }
        const auto read = co_await slot.partition->reads().run(
            [&log, from, until](io::MayBlock may_block) { return log.aborted_transactions(may_block, from, until); });
        if (!read) {
            slot.plan = {};
            refuse(slot, read.error());
        } else {
            add_aborted(slot, *read);
        }
    }
}

// Sleeps until the partitions have `bytes_missing` more, or the time is up.
io::Task<void> wait_for_data(RequestContext* context, FetchRound* round, std::int64_t bytes_missing,
                             std::int64_t wait_ms) {
    replication::FetchWaiter waiter{context->reactor(), bytes_missing, round->slots.size()};
    std::size_t hung = 0;
    bool all_still = true;
    for (; all_still && hung < round->slots.size(); ++hung) {
        const Slot& slot = round->slots[hung];
        all_still = slot.partition->wait_for_data(waiter.entries()[hung], slot.high_watermark_seen);
    }
    const bool must_wait = all_still || !waiter.give_up();
    if (must_wait) co_await waiter.until_ready(wait_ms);
    for (std::size_t i = 0; i < hung; ++i) round->slots[i].partition->stop_waiting(waiter.entries()[i]);
}

// The same for all partitions of a session, each of which tells it of changes.
io::Task<void> wait_for_changes(RequestContext* context, FetchContext* session, std::int64_t bytes_missing,
                                std::int64_t wait_ms) {
    replication::FetchWaiter waiter{context->reactor(), bytes_missing, 0};
    if (session->hang(waiter)) co_await waiter.until_ready(wait_ms);
    session->unhang(waiter);
}

void refuse_request(FetchResponse& response, const Error& error) {
    response.error_code = static_cast<std::int16_t>(error.code);
}

void add_topics(FetchResponse& response, std::vector<FetchedPartition>& found) {
    for (FetchedPartition& each : found) {
        const std::string_view name =
            each.target.topic == nullptr ? std::string_view{} : std::string_view{*each.target.topic};
        const bool same_topic = !response.responses.empty() &&
                                response.responses.back().topic_id == each.target.topic_id &&
                                response.responses.back().topic == name;
        if (!same_topic) {
            auto& topic = response.responses.emplace_back();
            topic.topic = name;
            topic.topic_id = each.target.topic_id;
        }
        response.responses.back().partitions.push_back(std::move(each.data));
    }
}

FetchParams params_of(const RequestContext& context, const FetchRequest& request) {
    const std::int32_t limit = context.services().fetch_bytes_max;
    const std::int32_t replica_id = context.version() >= 15 ? request.replica_state.replica_id : request.replica_id;
    return {.bytes_max = static_cast<std::size_t>(std::max(0, std::min(request.max_bytes, limit))),
            .is_read_committed = request.isolation_level == kReadCommitted,
            .is_from_replica = replica_id >= 0};
}

// Errors: as FetchContext::next_round().
io::Task<Result<FetchRound>> fetch_until_enough(RequestContext* context, const FetchRequest* request,
                                                FetchParams params, FetchContext* session) {
    const std::int64_t deadline_ms = context->reactor().now_ms() + request->max_wait_ms;
    for (;;) {
        const auto targets = session->next_round();
        if (!targets) co_return std::unexpected{targets.error()};
        FetchRound round = plan_round(*context, *session, params, *targets);
        for (Slot* cold = nullptr; round.needs_disk && (cold = first_that_needs_disk(round)) != nullptr;) {
            io::BlockingPool& pool = cold->partition->reads();
            const Result<void> done =
                co_await pool.run([&params, &round, cold](io::MayBlock may_block) -> Result<void> {
                    plan_from_disk(may_block, params, round, cold);
                    return {};
                });
            (void)done;
        }
        const std::int64_t wait_ms = deadline_ms - context->reactor().now_ms();
        const std::int64_t missing = request->min_bytes - static_cast<std::int64_t>(round.bytes);
        if (round.must_answer || missing <= 0 || wait_ms <= 0 || session->asks_for_nothing()) co_return round;
        if (session->waits_on_session()) {
            co_await wait_for_changes(context, session, missing, wait_ms);
        } else {
            co_await wait_for_data(context, &round, missing, wait_ms);
        }
    }
}

// Takes what was found out of a round.
std::vector<FetchedPartition> found_in(RequestContext& context, FetchRound& round) {
    std::vector<FetchedPartition> found;
    found.reserve(round.slots.size());
    for (Slot& slot : round.slots) {
        const bool is_quiet = slot.is_at_end && slot.data.error_code == 0;
        if (!slot.plan.slice.empty()) slot.data.records = context.external(std::move(slot.plan.slice));
        found.push_back({*slot.target, std::move(slot.data), is_quiet});
    }
    return found;
}

io::Task<FetchResponse> handle_fetch(RequestContext& context, FetchRequest request) {
    FetchResponse response;
    const Services& services = context.services();
    auto session = FetchContext::open(*services.fetch_sessions, request, context.version(), services.images->version(),
                                      context.reactor().now_ms());
    if (!session) {
        refuse_request(response, session.error());
        co_return response;
    }
    const FetchParams params = params_of(context, request);
    Result<FetchRound> round = co_await fetch_until_enough(&context, &request, params, &*session);
    if (!round) {
        refuse_request(response, round.error());
        co_return response;
    }
    if (params.is_read_committed) co_await find_aborted(&*round);

    std::vector<FetchedPartition> found = found_in(context, *round);
    const Result<std::int32_t> session_id = session->close(found, context.reactor().now_ms());
    if (!session_id) {
        refuse_request(response, session_id.error());
        co_return response;
    }
    response.session_id = *session_id;
    for (const FetchedPartition& each : found) {  // names live as long as the request
        if (each.target.topic != nullptr) context.keep_alive(each.target.topic);
    }
    add_topics(response, found);
    co_return response;
}

}  // namespace

io::Task<void> serve_fetch(RequestContext& context) { return serve<&handle_fetch>(context); }

}  // namespace odr::server
