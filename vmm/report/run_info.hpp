// What every report says about the run as a whole: where, when, of which guest.
#pragma once

#include <string>

namespace stackrig::report {

struct RunInfo {
    std::string host;         ///< the headline: which KVM ran the guests, and why
    std::string machine;      ///< name of the machine
    std::string started;      ///< UTC, "2026-11-23T08:15:04Z"
    std::string guest_build;  ///< 16 hex digits over guest.elf
};

}  // namespace stackrig::report
