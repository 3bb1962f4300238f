// The mail's claims C1..C8, with the sentences they stand on.
#pragma once

#include <span>
#include <string_view>

namespace stackrig::oracle {

struct Claim {
    std::string_view id;         ///< "C7"
    std::string_view statement;  ///< in a few words, for tables
    std::string_view sentence;   ///< verbatim from the mail
    std::string_view source;     ///< who wrote it, and when
};

[[nodiscard]] std::span<const Claim> claims();

}  // namespace stackrig::oracle
