// The skeleton's text.
#include "vmm/scenario/skeleton.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace stackrig::scenario {

bool good_name(std::string_view name) {
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

std::string skeleton(std::string_view name, std::string_view schema) {
    const std::string editor = schema.empty() ? "" : fmt::format("#:schema {}\n", schema);
    return editor + fmt::format(R"toml(schema = 1
name   = "{}"
why    = """
What breaks if this goes wrong? Say it so that somebody who knows the mail and not this rig understands it. As it stands,
an interrupt arrives while user code runs and no page is free: the reserve has to pay for it."""
claims = ["C7"]  # the mail's sentences: ./rig list claims
# hazards  = ["HZ-B3"]
requires = ["inject.irq"]  # else: SKIP on hosts that cannot do it
# expect = {{ violation = "INV-19" }}  # when it must break: ./rig list invariants

[guest]
cache_pages   = 0  # of each CPU, at the start
reserve_pages = 3
free_pages    = 0  # left to the allocator once all threads exist

# Threads start in this order. What they can do: ./rig list --verbs
[threads.A]
program = ["spin"]

[run]
schedule = [
    "run A until user",
    "inject irq(device) on cpu0",
    "run A until mark(enter.done)",
    "expect loan(A) == 3",
    "run A until user",
]

[check]
sometimes = ["reserve(cpu0) == 0"]  # true at one stop at least, or the run shows nothing: VACUOUS
finally   = ["reserve(cpu0) == 3"]
)toml",
                                name);
}

}  // namespace stackrig::scenario
