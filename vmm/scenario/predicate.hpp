// Predicates over facts of a run: `reserve(cpu0) == 3 || asleep(A)`. Checked once, evaluated at stops.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "guest/abi/ports.hpp"
#include "vmm/base/types.hpp"
#include "vmm/engine/plan.hpp"
#include "vmm/scenario/text.hpp"

namespace stackrig::scenario {

/// Something a predicate may ask about a run. Truths are 0 or 1, all others count pages or threads.
struct Fact {
    enum class Kind {
        reserve,        ///< frames in the CPU's reserve
        cache,          ///< frames in the CPU's stack page cache
        hands,          ///< frames a hook of the CPU has in its hands
        reserve_users,  ///< threads that hold frames of the CPU's reserve
        free,           ///< frames on the allocator's free list
        leaked,         ///< stack frames that are nowhere
        mapped,         ///< present pages of the thread's stack, 0..4
        pend,           ///< the hook owes the thread its extra pages
        loan,           ///< frames of a reserve that the thread holds
        asleep,         ///< the thread is blocked
        alive,          ///< the thread has not exited
        user,           ///< the thread is the one that runs on its CPU, and the CPU is in user mode
        seen,           ///< how often the mark was raised since the start of the run
    };
    enum class Argument { none, cpu, thread, mark };

    Kind kind = Kind::free;
    CpuId cpu;
    engine::ThreadIndex thread = 0;
    abi::Mark mark = abi::Mark::boot_done;
    bool operator==(const Fact&) const = default;
};

struct FactWord {
    const char* text;
    Fact::Kind value;
    Fact::Argument argument;
};
inline constexpr FactWord fact_words[] = {
    {"reserve", Fact::Kind::reserve, Fact::Argument::cpu},
    {"cache", Fact::Kind::cache, Fact::Argument::cpu},
    {"hands", Fact::Kind::hands, Fact::Argument::cpu},
    {"reserve.users", Fact::Kind::reserve_users, Fact::Argument::cpu},
    {"free", Fact::Kind::free, Fact::Argument::none},
    {"leaked", Fact::Kind::leaked, Fact::Argument::none},
    {"mapped", Fact::Kind::mapped, Fact::Argument::thread},
    {"pend", Fact::Kind::pend, Fact::Argument::thread},
    {"loan", Fact::Kind::loan, Fact::Argument::thread},
    {"asleep", Fact::Kind::asleep, Fact::Argument::thread},
    {"alive", Fact::Kind::alive, Fact::Argument::thread},
    {"user", Fact::Kind::user, Fact::Argument::thread},
    {"seen", Fact::Kind::seen, Fact::Argument::mark},
};

/// An expression tree with C's precedences, except that comparisons do not chain.
struct Predicate {
    enum class Op {
        integer,
        fact,
        negation,  ///< 1 part
        equal,     ///< 2 parts, as the other comparisons
        not_equal,
        less,
        less_equal,
        greater,
        greater_equal,
        both,    ///< 2 parts or more
        either,  ///< 2 parts or more
    };
    Op op = Op::integer;
    std::int64_t value = 0;  ///< integer
    Fact fact;               ///< fact
    std::vector<Predicate> parts;
    bool operator==(const Predicate&) const = default;
};

using FactReader = std::function<std::int64_t(const Fact&)>;

/// The value; truths are 1 and 0. `&&` and `||` stop at the part that decides.
[[nodiscard]] std::int64_t evaluate(const Predicate& predicate, const FactReader& read);

/// The facts it asks about, in order of appearance, each once.
[[nodiscard]] std::vector<Fact> facts_of(const Predicate& predicate);

/// A predicate with its text as the user wrote it, and its place in the file.
struct CheckedPredicate {
    Predicate predicate;
    std::string text;
    Span at;
};

}  // namespace stackrig::scenario
