#pragma once

#include "io/task.h"
#include "server/request_context.h"

namespace odr::server {

// Serves one request: decodes it, answers it through the context.
using Handler = io::Task<void> (*)(RequestContext&);

// Gives: who serves this API and version on this listener; null when nobody does, and the connection is to be closed.
Handler find_handler(const RequestContext& context);
// Whether an API is served, and so announced, on a listener of this kind.
bool is_served(const protocol::ApiInfo& api, bool is_controller_listener);

}  // namespace odr::server
