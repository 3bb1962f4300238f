// The text of a result. Parts: claim, place, picture, decisions, code, registers, command.
#include "vmm/report/failure.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <sstream>

#include "vmm/oracle/catalogue.hpp"
#include "vmm/oracle/claims.hpp"
#include "vmm/report/clean.hpp"
#include "vmm/report/sweep.hpp"
#include "vmm/report/text.hpp"
#include "vmm/scenario/text.hpp"

namespace stackrig::report {
namespace {

using explore::CodeLine;
using explore::LandingReport;
using explore::ScenarioResult;
using explore::ViolationReport;

constexpr std::size_t columns = 72;

/// Cut to the columns, with a mark that something is missing.
std::string cut(const std::string& line) {
    if (scenario::utf8_count(line) <= columns) {
        return line + "\n";
    }
    std::size_t end = 0;
    for (std::size_t i = 0; i < columns - 3; ++i) {
        end += scenario::utf8_length(line, end);
    }
    return line.substr(0, end) + "...\n";
}

/// As a POSIX shell reads it back.
std::string shell_word(const std::string& text) {
    constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./+=@%,";
    if (!text.empty() && text.front() != '-' && text.find_first_not_of(plain) == std::string::npos) {
        return text;
    }
    std::string out = "'";
    for (const char c : text) {
        out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    }
    return out + "'";
}

/// The sentences of the mail that this violation speaks to: its own, or those of the scenario's claims.
std::string claim_lines(const ScenarioResult& r, const ViolationReport& v) {
    const auto inv = oracle::find_invariant(v.id);
    if (inv && !oracle::invariant(*inv).sentence.empty()) {
        const oracle::Invariant& invariant = oracle::invariant(*inv);
        return wrap(fmt::format("the mail: \"{}\"", invariant.sentence), columns, 4);
    }
    std::string out;
    for (const oracle::Claim& claim : oracle::claims()) {
        if (std::find(r.claims.begin(), r.claims.end(), claim.id) != r.claims.end()) {
            out += wrap(fmt::format("{}: \"{}\"", claim.id, claim.sentence), columns, 4);
        }
    }
    return out;
}

const CodeLine* line_at(const std::vector<CodeLine>& code, std::uint64_t address) {
    const auto found = std::find_if(code.begin(), code.end(), [&](const CodeLine& l) { return l.address == address; });
    return found == code.end() || found->file.empty() ? nullptr : &*found;
}

const engine::CpuState* registers_of(const ViolationReport& v) {
    return v.moment.cpu < v.moment.cpus.size() ? &v.moment.cpus[v.moment.cpu].regs : nullptr;
}

std::string place_lines(const ViolationReport& v) {
    std::string out = wrap(v.stop == 0 ? "at " + v.where : fmt::format("at stop {}, {}", v.stop, v.where), columns, 4);
    const engine::CpuState* regs = registers_of(v);
    if (const CodeLine* line = regs == nullptr ? nullptr : line_at(v.code, regs->rip.value())) {
        out += cut(fmt::format("    {}:{}: {}", line->file, line->line, line->source));
    }
    return out;
}

/// The schedule up to where the run ended, and where its events hit.
std::string decision_lines(const ScenarioResult& r, const Paint& paint) {
    if (r.steps.empty()) {
        return "";
    }
    std::string out = "  " + paint.strong("decisions") + "\n";
    const std::vector<const LandingReport*> landings = landings_by_step(r);
    for (std::size_t i = 0; i < landings.size(); ++i) {
        out += wrap(fmt::format("{:>2} {}", i + 1, r.steps[i]), columns, 4);
        if (const LandingReport* landing = landings[i]) {
            const CodeLine* line = line_at(landing->code, landing->address);
            out += wrap(fmt::format("-> hit {}{}{}", landing->where, line == nullptr ? "" : fmt::format(" ({}:{})", line->file, line->line),
                                    landing->exact ? "" : ", NOT exactly: " + landing->detail),
                        columns, 7);
        }
    }
    return out;
}

std::string code_lines(const ViolationReport& v, const Paint& paint) {
    const engine::CpuState* regs = registers_of(v);
    if (v.code.empty() || regs == nullptr) {
        return "";
    }
    std::string out = "  " + paint.strong("code") + " (=> is next)\n";
    std::string shown;
    for (const CodeLine& line : v.code) {
        const std::string source = line.file.empty() ? "" : fmt::format("{}:{}", line.file.substr(line.file.rfind('/') + 1), line.line);
        if (!source.empty() && source != shown) {
            out += paint.faint(cut(fmt::format("      ; {}: {}", source, line.source)));
            shown = source;
        }
        const bool here = line.address == regs->rip.value();
        std::string text = cut(fmt::format("   {} {:<22} {}", here ? "=>" : "  ", line.label, line.text));
        out += here ? paint.strong(text) : text;
    }
    return v.access.empty() ? out : out + wrap("its memory operand: " + v.access, columns, 6);
}

std::string register_lines(const ViolationReport& v, const Paint& paint) {
    const engine::CpuState* regs = registers_of(v);
    if (regs == nullptr || v.before_stop == 0) {
        return "";
    }
    std::string out = "  " + paint.strong("registers") + fmt::format(" of {} changed since its stop {}\n", regs->cpu, v.before_stop);
    std::string line;
    for (const std::string& piece : changed_registers(v.before, *regs)) {
        if (!line.empty() && 4 + line.size() + 3 + piece.size() > columns) {
            out += "    " + line + "\n";
            line.clear();
        }
        line += (line.empty() ? "" : "   ") + piece;
    }
    return out + "    " + (line.empty() ? "none" : line) + "\n";
}

std::string violation_block(const ScenarioResult& r, const ViolationReport& v, const Paint& paint) {
    const auto inv = oracle::find_invariant(v.id);
    std::string out = "\n  " + paint.bad(v.id) + (inv ? fmt::format(" {}\n", oracle::invariant(*inv).title) : "\n");
    out += wrap(v.text, columns, 4);
    out += claim_lines(r, v) + place_lines(v);
    out += wrap((v.stop == 0 ? "by: " : "during: ") + v.step, columns, 4) + "\n";
    return out + clean(v.picture);
}

}  // namespace

std::string replay_command(const ScenarioResult& r) {
    const std::string variant = variant_of(r);
    return fmt::format("./rig {} {}{}{}{}", r.sweep ? "sweep" : "run", shell_word(r.file), variant.empty() ? "" : " --variant " + shell_word(variant),
                       r.made_with.empty() ? "" : " " + r.made_with, r.sweep ? "" : " --verbose");
}

std::vector<const LandingReport*> landings_by_step(const ScenarioResult& r) {
    std::vector<const LandingReport*> out(std::min(r.last_step + 1, r.steps.size()));
    auto next = r.landings.begin();
    for (std::size_t i = 0; i < out.size(); ++i) {
        // Interrupts that CPUs send to each other land between those of the schedule.
        const auto found = std::find_if(next, r.landings.end(), [&](const LandingReport& l) { return r.steps[i].starts_with("inject " + l.event); });
        if (found != r.landings.end()) {
            out[i] = &*found;
            next = found + 1;
        }
    }
    return out;
}

std::vector<std::string> changed_registers(const engine::CpuState& before, const engine::CpuState& after) {
    std::vector<std::string> out;
    const auto compare = [&](std::string_view name, std::uint64_t a, std::uint64_t b) {
        if (a != b) {
            out.push_back(fmt::format("{} {:#x} -> {:#x}", name, a, b));
        }
    };
    constexpr const char* names[] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
                                     "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    compare("rip", before.rip.value(), after.rip.value());
    for (std::size_t i = 0; i < std::size(names); ++i) {
        compare(names[i], before.gpr[i], after.gpr[i]);
    }
    compare("rflags", before.rflags, after.rflags);
    compare("cs", before.cs, after.cs);
    compare("cr2", before.cr2.value(), after.cr2.value());
    compare("cr3", before.cr3.value(), after.cr3.value());
    compare("gs", before.gs_base.value(), after.gs_base.value());
    return out;
}

std::string result_details(const ScenarioResult& r, const Paint& paint) {
    std::string out = fmt::format("{}: {} ({})\n", paint.strong(r.name),
                                  explore::as_expected(r.verdict) ? paint.good(verdict_text(r)) : paint.bad(verdict_text(r)), r.file);
    if (!r.reason.empty()) {
        out += wrap(r.reason, columns, 2);
    }
    out += wrap("why: " + r.why, columns, 2);
    for (const ViolationReport& v : r.violations) {
        out += violation_block(r, v, paint);
    }
    if (!r.ending.empty()) {
        out += "\n" + clean(r.ending) + "\n";
    }
    if (!r.violations.empty()) {
        out += "\n" + code_lines(r.violations.back(), paint) + register_lines(r.violations.back(), paint);
    }
    out += decision_lines(r, paint);
    for (const std::string& note : r.notes) {
        out += wrap("on the way, " + note, columns, 2);
    }
    for (const std::string& line : r.console) {
        out += wrap("guest: " + line, columns, 2);
    }
    if (r.sweep) {
        out += "\n" + coverage_statement(*r.sweep);
    }
    out += fmt::format("  trace hash {:016x}; see it again:\n    {}\n", r.trace_hash, paint.strong(replay_command(r)));
    return out;
}

}  // namespace stackrig::report
