#include "server/request_context.h"

#include "server/connection.h"
#include "server/processor.h"

namespace odr::server {

const Services& RequestContext::services() const { return connection_.processor().services(); }
ConnectionInfo& RequestContext::connection_info() const { return connection_.info(); }
io::Reactor& RequestContext::reactor() const { return connection_.processor().reactor(); }
const metadata::MetadataImage& RequestContext::image() const { return connection_.processor().state().image.get(); }
std::shared_ptr<const metadata::MetadataImage> RequestContext::shared_image() const {
    return connection_.processor().state().image.shared();
}
replication::PartitionCache& RequestContext::partitions() const { return connection_.processor().state().partitions; }

protocol::Records RequestContext::external(storage::FileSlice slice) {
    if (slice.length <= kCopiedSliceMax) {
        const auto bytes = std::make_shared_for_overwrite<std::uint8_t[]>(slice.length);
        const auto got = slice.file->read_at({bytes.get(), slice.length}, slice.position);
        if (got && *got == slice.length) {
            owners_.push_back(bytes);
            return protocol::Records{ByteView{bytes.get(), slice.length}};
        }
    }
    const auto size = static_cast<std::uint32_t>(slice.length);
    slices_.push_back(std::move(slice));
    return protocol::Records::external(slices_.size() - 1, size);
}

void RequestContext::close_connection(std::string_view why) {
    is_answered_ = true;
    connection_.close(why);
}

bool RequestContext::wants_answer() const { return !connection_.is_closed(); }

protocol::Buffer& RequestContext::begin_answer() { return connection_.begin_answer(*this); }

void RequestContext::end_answer(protocol::Writer& writer) {
    is_answered_ = true;
    connection_.end_answer(*this, writer);
}

}  // namespace odr::server
