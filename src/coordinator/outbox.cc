#include "coordinator/outbox.h"

#include <algorithm>
#include <utility>

namespace odr::coordinator {

Outbox& Outbox::of_this_thread() {
    thread_local Outbox outbox;
    return outbox;
}

void Outbox::send(io::Reactor& to, io::Timer::Fire fire, void* argument) {
    if (io::Reactor::current() == nullptr) return to.call(fire, argument);
    Outbox& outbox = of_this_thread();
    auto bag = std::ranges::find(outbox.bags_, &to, &Bag::to);
    if (bag == outbox.bags_.end()) {
        bag = outbox.bags_.insert(bag, Bag{.to = &to, .letters = std::make_unique<Letters>()});
    }
    bag->letters->push_back({fire, argument});
    if (std::exchange(outbox.is_planned_, true)) return;
    io::Reactor::current()->at_end_of_turn([](void* at) { static_cast<Outbox*>(at)->hand_over(); }, &outbox);
}

void Outbox::hand_over() {
    is_planned_ = false;
    for (Bag& bag : std::exchange(bags_, {})) {
        bag.to->call(
            [](void* at) {
                const std::unique_ptr<Letters> letters{static_cast<Letters*>(at)};
                for (const Letter& each : *letters) each.fire(each.argument);
            },
            bag.letters.release());
    }
}

}  // namespace odr::coordinator
