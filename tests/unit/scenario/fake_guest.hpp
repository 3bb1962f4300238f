// A guest as far as sentences see it: a few symbols, a few threads.
#pragma once

#include <map>
#include <string>

#include "vmm/scenario/names.hpp"
#include "vmm/scenario/vocabulary.hpp"

namespace stackrig::scenario {

struct FakeSymbols : SymbolSource {
    std::map<std::string, std::uint64_t, std::less<>> table = {
        {"do_syscall_64", 0xffffffff80101000},      {"__do_fast_syscall_32", 0xffffffff80101100}, {"__switch_to", 0xffffffff80101180},
        {"do_user_addr_fault", 0xffffffff80101200}, {"exc_debug_user", 0xffffffff80101300},
        {"do_int3_user", 0xffffffff80101400},       {"enter_from_user_mode", 0xffffffff80101500},
        {"exit_to_user_mode", 0xffffffff80101600},  {"exit_to_user_mode_loop", 0xffffffff80101700},
        {"mutex_lock", 0xffffffff80101800},         {"do_fast_syscall_32", 0xffffffff80101900},
        {"exc_page_fault", 0xffffffff80101a00},     {"exc_int3", 0xffffffff80101b00},
        {"pop_free", 0xffffffff80101fa0},           {"native_irq_return_iret", 0xffffffff80101fc0},
        {"enter", 0xffffffff80101c00},              {"exit", 0xffffffff80101d00},
        {"map_extra", 0xffffffff80101e00},          {"unmap_extra", 0xffffffff80101f00},
        {"syscall_exit_to_user_mode", 0xffffffff80101f40}, {"syscall_return_via_sysret", 0xffffffff80101f80},
    };
    FakeSymbols() {
        for (const auto& row : abi::entry_classes) {
            table.emplace(row.stub, 0xffffffff80102000 + 0x100 * static_cast<std::uint64_t>(row.entry));
        }
    }
    [[nodiscard]] std::optional<Gva> find(std::string_view name) const override {
        const auto found = table.find(name);
        return found == table.end() ? std::nullopt : std::optional(Gva(found->second));
    }
    [[nodiscard]] std::vector<std::string> names() const override {
        std::vector<std::string> out;
        for (const auto& [name, address] : table) {
            out.push_back(name);
        }
        return out;
    }
};

/// Threads A, B (user) and K (kthread) on one CPU, a schedule of 5 steps.
struct FakeGuest {
    FakeSymbols symbols;
    Names names{symbols,
                {{"A", abi::ThreadKind::user}, {"B", abi::ThreadKind::user}, {"K", abi::ThreadKind::kthread}},
                1,
                5};
};

}  // namespace stackrig::scenario
