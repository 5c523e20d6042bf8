#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace odr::controller {

// Texts that an answer points at and that stand in no request: error messages, config values.
//
// Owner: the Answer; views stay valid as long as it, also when it is moved.
class Texts {
public:
    std::string_view keep(std::string text) { return texts_->emplace_back(std::move(text)); }

private:
    std::unique_ptr<std::deque<std::string>> texts_ = std::make_unique<std::deque<std::string>>();
};

// A response and what its views point at. Names that came with the request are views into the request's frame still.
template <class Response>
struct Answer {
    Response response;
    Texts texts;
};

}  // namespace odr::controller
