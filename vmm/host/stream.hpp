// The one stream between front end and worker: JSON messages, each behind a 4-byte little-endian length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "vmm/base/result.hpp"

namespace stackrig::host {

using Json = nlohmann::ordered_json;

inline constexpr std::size_t max_message_bytes = 64u << 20;

/// One message as bytes for the stream.
[[nodiscard]] std::string encode_message(const Json& message);

/// Cuts a byte stream into messages, whatever pieces it arrives in.
class MessageReader {
  public:
    void feed(std::string_view bytes) { buffer_ += bytes; }
    /// The next whole message; nothing when more bytes are needed; an error for an impossible length or no JSON,
    /// after which the stream cannot be used any more.
    [[nodiscard]] Result<std::optional<Json>> next();
    /// Bytes of an unfinished message, for the report of a stream that broke off.
    [[nodiscard]] std::size_t pending_bytes() const { return buffer_.size(); }

  private:
    std::string buffer_;
};

}  // namespace stackrig::host
