// The listing of the guest "steps", and walks against it.
#include "vmm/host/steps_path.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace stackrig::host {
namespace {

using x86::CodeMode;

/// The listing, piece by piece.
class Listing {
  public:
    Listing(const x86::Elf& elf, x86::Decoder decoder) : elf_(elf), decoder_(std::move(decoder)) {}

    /// The instructions in [from, to), one behind the other.
    Result<void> straight(const char* from, const char* to, CodeMode mode = CodeMode::bits64) {
        STACKRIG_TRY_ASSIGN(Gva at, symbol(from));
        STACKRIG_TRY_ASSIGN(const Gva end, symbol(to));
        while (at < end) {
            path_.boundaries.push_back(at);
            STACKRIG_TRY_ASSIGN(const x86::Instruction instruction, decoder_.decode(elf_.bytes_at(at), at, mode));
            at = at + instruction.length;
        }
        return {};
    }
    Result<void> repeated(const char* name, unsigned times) {
        STACKRIG_TRY_ASSIGN(const Gva at, symbol(name));
        path_.boundaries.insert(path_.boundaries.end(), times, at);
        path_.repeats.push_back(at);
        return {};
    }
    StepsPath path() { return std::move(path_); }

  private:
    Result<Gva> symbol(const char* name) {
        const auto address = elf_.find(name);
        if (!address) {
            return fail(ErrorKind::rig, fmt::format("{} has no symbol {}: it is not the guest of guest/steps; `ninja -C build` builds that", elf_.path(), name));
        }
        return *address;
    }

    const x86::Elf& elf_;
    x86::Decoder decoder_;
    StepsPath path_;
};

}  // namespace

Result<StepsPath> steps_path(const x86::Elf& steps) {
    STACKRIG_TRY_ASSIGN(x86::Decoder decoder, x86::Decoder::create());
    Listing listing(steps, std::move(decoder));
    STACKRIG_TRY(listing.straight("entry", "long_mode", CodeMode::bits32));
    STACKRIG_TRY(listing.straight("long_mode", "kernel_rep"));
    STACKRIG_TRY(listing.repeated("kernel_rep", 5));
    constexpr std::pair<const char*, const char*> kernel_and_user[] = {
        {"kernel_int80", "kernel_int3"}, {"int80_handler", "bp_handler"}, {"kernel_int3", "kernel_ud2"}, {"bp_handler", "plain_handler"},
        {"kernel_ud2", "ud2_end"}, {"plain_handler", "db_handler"}, {"kernel_out", "syscall_entry"}, {"user_part", "user_behind_syscall"},
        {"syscall_entry", "syscall_end"}, {"user_behind_syscall", "user_fault"}, {"int80_handler", "bp_handler"}, {"user_fault", "user_behind_fault"},
        {"pf_handler", "df_handler"}, {"user_fault", "user_rep"}};
    for (const auto& [from, to] : kernel_and_user) {
        STACKRIG_TRY(listing.straight(from, to));
    }
    STACKRIG_TRY(listing.repeated("user_rep", 3));
    constexpr std::pair<const char*, const char*> way_out[] = {
        {"user_behind_rep", "user_behind_own_trap"}, {"db_handler", "nmi_handler"}, {"user_behind_own_trap", "user_end"},
        {"syscall_entry", "syscall_round_trip"}, {"the_end", "int80_handler"}};
    for (const auto& [from, to] : way_out) {
        STACKRIG_TRY(listing.straight(from, to));
    }
    StepsPath path = listing.path();
    path.boundaries.pop_back();  // the JMP behind the last HLT
    return path;
}

std::vector<KindJudgement> judge_walk(const std::vector<WalkedStep>& walk, const StepsPath& path, const x86::Elf& steps) {
    std::vector<KindJudgement> kinds;
    const auto of_kind = [&kinds](x86::InstructionClass kind) -> KindJudgement& {
        const auto found = std::find_if(kinds.begin(), kinds.end(), [kind](const KindJudgement& k) { return k.kind == kind; });
        return found != kinds.end() ? *found : kinds.emplace_back(KindJudgement{kind, 0, {}});
    };
    const auto surplus_repeat = [&path](Gva at, Gva before) {
        return at == before && std::find(path.repeats.begin(), path.repeats.end(), at) != path.repeats.end();
    };
    auto expected = path.boundaries.begin();
    for (std::size_t i = 0; i < walk.size(); ++i) {
        ++of_kind(walk[i].kind).steps;
        const bool there = expected != path.boundaries.end() && *expected == walk[i].from;
        if (!there && i > 0 && surplus_repeat(walk[i].from, walk[i - 1].from)) {
            continue;
        }
        if (!there && i > 0) {
            of_kind(walk[i - 1].kind).wrong.push_back(fmt::format("behind {} the next boundary is {} instead of {}", steps.describe(walk[i - 1].from),
                                                                  steps.describe(walk[i].from),
                                                                  expected == path.boundaries.end() ? "the end" : steps.describe(*expected)));
            const auto again = std::find(expected, path.boundaries.end(), walk[i].from);
            expected = again != path.boundaries.end() ? again : expected;
        }
        if (expected != path.boundaries.end() && *expected == walk[i].from) {
            ++expected;
        }
    }
    if (expected != path.boundaries.end() && !walk.empty()) {
        of_kind(walk.back().kind).wrong.push_back(fmt::format("the walk ended behind {}, before {}", steps.describe(walk.back().from), steps.describe(*expected)));
    }
    return kinds;
}

}  // namespace stackrig::host
