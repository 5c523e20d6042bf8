#pragma once

#include "base/config/broker_config.h"
#include "metadata/formatter.h"

namespace odr::cli {

// What formatting needs of a configuration, without what the command line adds.
metadata::FormatRequest format_request_for(const config::BrokerConfig& config);

}  // namespace odr::cli
