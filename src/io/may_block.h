#pragma once

namespace odr::io {

// Proof that the caller may wait for a disk. Reactors cannot make one, so no function that takes it can run on them.
// Made by: BlockingPool for its jobs; at_startup() before the reactors run and after they stop;
//          on_own_thread() by a thread that is no reactor and serves one owner (the controller's); for_test().
class MayBlock {
public:
    static MayBlock at_startup() { return {}; }
    static MayBlock on_own_thread() { return {}; }
    static MayBlock for_test() { return {}; }

private:
    friend class BlockingPool;
    MayBlock() = default;
};

}  // namespace odr::io
