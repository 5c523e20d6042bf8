#pragma once

#include <functional>
#include <span>

#include "base/bytes.h"
#include "base/result.h"
#include "metadata/image.h"
#include "metadata/record_list.h"
#include "protocol/generated/partition_record.h"

namespace odr::metadata {

// Writes an image as records, in Kafka's order: features (metadata.version first), brokers, controllers, topics with
// their partitions, configs, quotas, producer ids, ACLs, SCRAM, tokens.
//
// sink: gets some records at a time, at most about a megabyte; framed; the views live during the call.
// Errors: the sink's. What the image's own metadata.version cannot say is left out, as Kafka does on a downgrade.
// Kafka:  MetadataImage.write, ImageWriter.
Result<void> write_image(const MetadataImage& image,
                         const std::function<Result<void>(std::span<const ByteView>)>& sink);

// All records at once, for tests and small images.
Result<RecordList> image_records(const MetadataImage& image);

// Gives: the record that makes this partition, with the fields that `version` has. For partition_record_version().
protocol::PartitionRecord partition_record(const Uuid& topic, PartitionIndex index,
                                           const PartitionRegistration& partition, MetadataVersion version);

}  // namespace odr::metadata
