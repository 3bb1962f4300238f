// The table of depths.
#include "vmm/report/depths.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>

#include "guest/abi/entries.hpp"
#include "vmm/oracle/depth.hpp"

namespace stackrig::report {
namespace {

using oracle::Window;
using Key = std::pair<std::string, std::string>;  // entry, window

constexpr auto windows = static_cast<std::size_t>(Window::count);

std::string line(std::string_view name, const std::array<std::string, windows>& cells) {
    std::string out = fmt::format("  {:<24}", name);
    for (const std::string& cell : cells) {
        out += fmt::format("{:>8}", cell);
    }
    return out + "\n";
}

}  // namespace

std::string depth_table(const std::vector<explore::ScenarioResult>& results) {
    std::map<Key, std::uint64_t> deepest;
    for (const explore::ScenarioResult& r : results) {
        if (r.reading == scenario::Reading::baseline) {
            continue;
        }
        for (const explore::DepthReport& d : r.depths) {
            std::uint64_t& most = deepest[{d.entry, d.window}];
            most = std::max(most, d.max_bytes);
        }
    }
    if (deepest.empty()) {
        return "";
    }
    std::array<std::string, windows> header;
    for (std::size_t w = 0; w < windows; ++w) {
        header[w] = oracle::name_of(static_cast<Window>(w));
    }
    std::string out = "Deepest use of a user thread's stack, in bytes, seen at a stop. Around\n"
                      "the hooks (entry, wait, exit) 4096 are mapped; how deep kernel and loop\n"
                      "go is the scenarios' choice.\n" +
                      line("entered by", header);
    for (const abi::EntryClass& row : abi::entry_classes) {
        std::array<std::string, windows> cells;
        bool any = false;
        for (std::size_t w = 0; w < windows; ++w) {
            const auto at = deepest.find({row.name, header[w]});
            any = any || at != deepest.end();
            cells[w] = at == deepest.end() ? "-" : fmt::format("{}", at->second);
        }
        out += any ? line(row.entry == abi::Entry::none ? "(first run)" : row.name, cells) : "";
    }
    return out;
}

}  // namespace stackrig::report
