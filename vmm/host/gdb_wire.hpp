// The framing of the GDB Remote Serial Protocol: $packet#checksum, escapes, acknowledgements.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace stackrig::host {

/// "$OK#9a".
[[nodiscard]] std::string gdb_frame(std::string_view packet);

/// The packet that has gdb print `text`, where an answer to a continuing or stepping packet is due ("O" of the remote protocol).
[[nodiscard]] std::string gdb_output(std::string_view text);

/// Cuts what gdb sends into packets, whatever pieces it arrives in.
class GdbReader {
  public:
    void feed(std::string_view bytes) { buffer_ += bytes; }
    struct Item {
        enum class Kind { packet, interrupt, damaged } kind = Kind::packet;
        std::string packet;
    };
    /// The next whole packet, or the interrupt byte; nothing when more is needed. Acknowledgements are dropped; a packet whose
    /// checksum is wrong is `damaged`.
    [[nodiscard]] std::optional<Item> next();

  private:
    std::string buffer_;
};

}  // namespace stackrig::host
