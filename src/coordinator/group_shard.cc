#include "coordinator/group_shard.h"

#include "coordinator/classic_groups.h"
#include "coordinator/consumer_groups.h"
#include "coordinator/offset_store.h"

namespace odr::coordinator {

GroupShard::GroupShard(ShardContext& context)
    : context_{context},
      classic_groups_{std::make_unique<ClassicGroups>(context, groups_)},
      consumer_groups_{std::make_unique<ConsumerGroups>(context, groups_, *classic_groups_)},
      offsets_{std::make_unique<OffsetStore>(context, groups_,
                                             [this](std::string_view id) { classic_groups_->find_or_create(id); })} {}

GroupShard::~GroupShard() = default;

template <class Visit>
void GroupShard::for_each_part(Visit&& visit) {
    visit(static_cast<GroupPart&>(*offsets_));
    visit(static_cast<GroupPart&>(*classic_groups_));
    visit(static_cast<GroupPart&>(*consumer_groups_));
}

Result<void> GroupShard::replay(const ReplayedRecord& record) {
    Result<bool> done = false;
    for_each_part([&](GroupPart& part) {
        if (done && !*done) done = part.replay(record);
    });
    if (!done) return fail(done.error());
    if (!*done) return fail(ErrorCode::unsupported_version, "a record of a type that this broker does not know");
    return {};
}

void GroupShard::replay_end_transaction(ProducerId producer_id, bool is_commit) {
    offsets_->replay_end_transaction(producer_id, is_commit);
}

void GroupShard::on_loaded() {
    for_each_part([](GroupPart& part) { part.on_loaded(); });
}

void GroupShard::on_unloaded() {
    for_each_part([](GroupPart& part) { part.on_unloaded(); });
}

void GroupShard::on_new_image(const metadata::MetadataChanges& changes) {
    for_each_part([&changes](GroupPart& part) { part.on_new_image(changes); });
}

}  // namespace odr::coordinator
