// Frames on the virtio-serial port between launcher and agent. <cstdint> only: the agent is linked without libraries.
#pragma once

#include <cstdint>

namespace stackrig::host::wire {

/// Every frame: this header, then `length` bytes.
struct Header {
    std::uint32_t magic;
    std::uint32_t type;
    std::uint32_t length;
};
inline constexpr std::uint32_t magic = 0x31475253;  ///< "SRG1": raised when a frame changes its meaning
inline constexpr std::uint32_t max_length = 1u << 20;

enum class Type : std::uint32_t {
    // launcher -> agent
    file_begin = 1,  ///< path; a new file, mode 0755, parents made
    file_data = 2,   ///< bytes appended to it
    file_end = 3,
    exec = 4,        ///< NUL-terminated arguments; the first is the program
    input = 5,       ///< bytes for the job's standard input
    input_end = 6,
    kill = 7,        ///< the job and all it started
    power_off = 8,
    greet = 9,       ///< to be answered with ready: is anybody there?
    // agent -> launcher
    ready = 16,      ///< text: kernel release
    output = 17,     ///< the job's standard output
    error = 18,      ///< the job's standard error
    exited = 19,     ///< 4 bytes: exit status
    signalled = 20,  ///< 4 bytes: signal number
    failed = 21,     ///< text: what the agent could not do
};

}  // namespace stackrig::host::wire
