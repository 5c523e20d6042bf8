#pragma once

namespace odr::storage {

// Told that a log changed otherwise than by an append: its start moved, or its end was cut.
//
// Threads: any. Called under the log's state lock: no call back.
class LogListener {
public:
    virtual void on_log_change() = 0;

protected:
    ~LogListener() = default;
};

}  // namespace odr::storage
