#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "io/task.h"
#include "metadata/image_holder.h"
#include "protocol/headers.h"
#include "replication/replica_manager.h"
#include "server/chunk.h"
#include "server/output.h"
#include "server/services.h"

namespace odr::server {

class Connection;

// What a handler may know of the connection that a request came on.
struct ConnectionInfo {
    std::string listener;              // its name, such as "PLAINTEXT"
    bool is_controller = false;        // a listener of controller.listener.names
    std::string peer_address;          // "127.0.0.1", "::1"
    std::string client_software_name;  // as told in ApiVersions (KIP-511), empty before
    std::string client_software_version;
};

// One reactor's own copies of what every request asks for.
struct ReactorState {
    ReactorState(const Services& services) : image{*services.images}, partitions{*services.replicas} {}
    metadata::ImageCache image;
    replication::PartitionCache partitions;
};

// One request, from its frame to its answer.
//
// Owner:   its connection; the frame's bytes live as long as the context.
// Threads: its connection's reactor.
class RequestContext {
public:
    RequestContext(Connection& connection, const protocol::RequestHeaderView& header, ByteView body, ChunkRef chunk)
        : connection_{connection}, header_{header}, body_{body}, chunk_{std::move(chunk)} {}
    RequestContext(const RequestContext&) = delete;
    RequestContext& operator=(const RequestContext&) = delete;

    const protocol::RequestHeaderView& header() const { return header_; }
    std::int16_t version() const { return header_.api_version; }
    std::string_view client_id() const { return header_.client_id.value_or(std::string_view{}); }
    ByteView body() const { return body_; }
    // The same bytes, for what is written in place: offsets and epochs of record batches.
    MutableByteView writable(ByteView part) const { return {const_cast<std::uint8_t*>(part.data()), part.size()}; }

    const Services& services() const;
    ConnectionInfo& connection_info() const;
    io::Reactor& reactor() const;
    // The metadata as they are now; good until the next suspension.
    const metadata::MetadataImage& image() const;
    std::shared_ptr<const metadata::MetadataImage> shared_image() const;
    replication::PartitionCache& partitions() const;

    // Keeps a text alive until the answer is encoded, for the views in responses.
    std::string_view keep(std::string text) { return kept_.emplace_back(std::move(text)); }
    void keep_alive(std::shared_ptr<const void> owner) { owners_.push_back(std::move(owner)); }
    // Bytes of a segment as a response field; they leave by sendfile. Only small ones are copied between their
    // neighbours: one read and one send then do the work of two sends and a sendfile.
    // Needs: the slice is in the page cache.
    protocol::Records external(storage::FileSlice slice);

    // For a request that Kafka answers by closing the connection.
    void close_connection(std::string_view why);
    // For acks=0.
    void send_nothing() { is_answered_ = true; }

    // Encodes the answer, once. Called by serve(), not by handlers.
    template <class Response>
    void send(const Response& response) {
        if (is_answered_ || !wants_answer()) return;
        protocol::Writer writer{begin_answer()};
        writer.begin_frame();
        protocol::encode_response_header(writer, *header_.api, header_.api_version, header_.correlation_id);
        encode(writer, header_.api_version, response);
        writer.end_frame();
        end_answer(writer);
    }
    // The same in another version: ApiVersions answers unknown ones in version 0.
    template <class Response>
    void send_as(std::int16_t version, const Response& response) {
        header_.api_version = version;
        send(response);
    }

private:
    friend class Connection;
    static constexpr std::size_t kCopiedSliceMax = std::size_t{16} << 10;
    bool wants_answer() const;
    protocol::Buffer& begin_answer();
    void end_answer(protocol::Writer& writer);

    Connection& connection_;
    protocol::RequestHeaderView header_;
    ByteView body_;
    ChunkRef chunk_;
    std::deque<std::string> kept_;
    std::vector<std::shared_ptr<const void>> owners_;
    std::vector<storage::FileSlice> slices_;
    Output answer_;  // used where earlier requests of the connection still wait
    bool is_answered_ = false;
    bool is_finished_ = false;
    std::size_t counted_bytes_ = 0;   // towards queued.max.request.bytes
    RequestContext* next_ = nullptr;  // in the connection's order of arrival
    io::Task<void> task_;
};

}  // namespace odr::server
