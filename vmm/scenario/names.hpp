// What the names in a sentence may refer to: the scenario's threads and CPUs, and the guest's symbols.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/types.hpp"
#include "vmm/engine/plan.hpp"

namespace stackrig::scenario {

/// The guest kernel's symbols, as far as sentences need them.
struct SymbolSource {
    virtual ~SymbolSource() = default;
    /// Address of the function or label `name`.
    [[nodiscard]] virtual std::optional<Gva> find(std::string_view name) const = 0;
    /// All names, for "did you mean".
    [[nodiscard]] virtual std::vector<std::string> names() const = 0;
};

struct ThreadName {
    std::string name;
    abi::ThreadKind kind = abi::ThreadKind::user;
    bool execs = false;  ///< its program makes a kthread a user thread

    [[nodiscard]] bool has_user_mode() const { return kind == abi::ThreadKind::user || execs; }
};

struct Names {
    const SymbolSource& symbols;
    std::vector<ThreadName> threads;  ///< in the order of RunPlan::threads
    std::uint32_t cpus = 1;
    std::size_t steps = 0;  ///< of the schedule, for the place `step N`

    [[nodiscard]] std::optional<engine::ThreadIndex> thread(std::string_view name) const {
        const auto found =
            std::find_if(threads.begin(), threads.end(), [&](const auto& t) { return t.name == name; });
        return found == threads.end()
                   ? std::nullopt
                   : std::optional(static_cast<engine::ThreadIndex>(found - threads.begin()));
    }
    [[nodiscard]] std::vector<std::string> thread_names() const {
        std::vector<std::string> out;
        for (const ThreadName& t : threads) {
            out.push_back(t.name);
        }
        return out;
    }
};

}  // namespace stackrig::scenario
