// Framing.
#include "vmm/host/gdb_wire.hpp"

#include <cstdint>
#include <fmt/format.h>

namespace stackrig::host {
namespace {

std::uint8_t checksum(std::string_view text) {
    unsigned sum = 0;
    for (const char c : text) {
        sum += static_cast<unsigned char>(c);
    }
    return static_cast<std::uint8_t>(sum);
}

/// '}' escapes: the next byte, XOR 0x20.
std::string unescaped(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        out += text[i] == '}' && i + 1 < text.size() ? static_cast<char>(text[++i] ^ 0x20) : text[i];
    }
    return out;
}

}  // namespace

std::string gdb_frame(std::string_view packet) {
    std::string body;
    for (const char c : packet) {
        body += c == '$' || c == '#' || c == '}' || c == '*' ? std::string{'}', static_cast<char>(c ^ 0x20)} : std::string(1, c);
    }
    return fmt::format("${}#{:02x}", body, checksum(body));
}

std::string gdb_output(std::string_view text) {
    std::string packet = "O";
    for (const char c : text) {
        packet += fmt::format("{:02x}", static_cast<unsigned char>(c));
    }
    return packet;
}

std::optional<GdbReader::Item> GdbReader::next() {
    while (!buffer_.empty() && buffer_.front() != '$') {
        const char c = buffer_.front();
        buffer_.erase(0, 1);
        if (c == '\x03') {
            return Item{Item::Kind::interrupt, ""};
        }
    }
    const std::size_t end = buffer_.find('#');
    if (end == std::string::npos || end + 2 >= buffer_.size()) {
        return std::nullopt;
    }
    const std::string body = buffer_.substr(1, end - 1);
    const std::string sum = buffer_.substr(end + 1, 2);
    buffer_.erase(0, end + 3);
    return sum == fmt::format("{:02x}", checksum(body)) ? Item{Item::Kind::packet, unescaped(body)} : Item{Item::Kind::damaged, ""};
}

}  // namespace stackrig::host
