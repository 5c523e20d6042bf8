#pragma once

#include <coroutine>
#include <memory>
#include <vector>

#include "io/reactor.h"

namespace odr::coordinator {

// What one reactor sends to others: gathered until the end of its turn, then handed over at once. Sixty requests that
// came with one read wake the other reactor once instead of sixty times, and so their records share one write.
//
// Owner: a thread. Threads: that one; one that runs no reactor sends at once.
class Outbox {
public:
    // Runs `fire(argument)` on `to`, soon: another reactor than this thread's.
    static void send(io::Reactor& to, io::Timer::Fire fire, void* argument);
    static void resume(io::Reactor& on, std::coroutine_handle<> coroutine) {
        send(on, [](void* at) { std::coroutine_handle<>::from_address(at).resume(); }, coroutine.address());
    }

private:
    struct Letter {
        io::Timer::Fire fire;
        void* argument;
    };
    using Letters = std::vector<Letter>;
    struct Bag {
        io::Reactor* to;
        std::unique_ptr<Letters> letters;
    };
    static Outbox& of_this_thread();
    void hand_over();

    std::vector<Bag> bags_;
    bool is_planned_ = false;
};

}  // namespace odr::coordinator
