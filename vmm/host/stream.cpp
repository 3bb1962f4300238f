// Message framing.
#include "vmm/host/stream.hpp"

#include <fmt/format.h>

namespace stackrig::host {

std::string encode_message(const Json& message) {
    // File names may hold anything; the worker needs them for its messages only.
    const std::string body = message.dump(-1, ' ', false, Json::error_handler_t::replace);
    std::string out;
    out.reserve(4 + body.size());
    for (unsigned shift = 0; shift < 32; shift += 8) {
        out += static_cast<char>(body.size() >> shift & 0xff);
    }
    return out + body;
}

Result<std::optional<Json>> MessageReader::next() {
    if (buffer_.size() < 4) {
        return std::nullopt;
    }
    std::size_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        length |= static_cast<std::size_t>(static_cast<unsigned char>(buffer_[i])) << (8 * i);
    }
    if (length > max_message_bytes) {
        return fail(ErrorKind::rig, fmt::format("the worker's stream holds no message but noise (length field {:#x}): something "
                                                "else was written to its standard output",
                                                length));
    }
    if (buffer_.size() < 4 + length) {
        return std::nullopt;
    }
    Json message = Json::parse(buffer_.begin() + 4, buffer_.begin() + 4 + static_cast<std::ptrdiff_t>(length), nullptr, false);
    buffer_.erase(0, 4 + length);
    if (message.is_discarded()) {
        return fail(ErrorKind::rig, "the worker's stream holds a message that is no JSON");
    }
    return std::optional<Json>(std::move(message));
}

}  // namespace stackrig::host
