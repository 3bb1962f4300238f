// Disassembly with symbols and source lines.
#include "vmm/report/code.hpp"

#include <cstdlib>
#include <fmt/format.h>

#include "vmm/oracle/address.hpp"

namespace stackrig::report {
namespace {

using explore::CodeLine;
using oracle::Moment;
using oracle::MomentThread;

constexpr std::size_t instructions_around = 8;

/// The state of the page of the stack area that `address` lies in.
std::string stack_page_text(const Moment& moment, const oracle::StackPointer& at) {
    for (const MomentThread& t : moment.threads) {
        if (t.slot != at.slot.value()) {
            continue;
        }
        if (at.where == oracle::StackPointer::Where::guard) {
            return fmt::format("the guard below {}'s stack", t.name);
        }
        const bool present = (t.pages[at.page].pte & 1) != 0;
        return fmt::format("P{} of {}'s stack, {}", at.page, t.name, present ? t.pages[at.page].owner : "not present");
    }
    return fmt::format("stack slot {}, which nobody owns", at.slot.value());
}

/// "call 0xffffffff80106e60" -> "call panic".
std::string with_symbol(const x86::Elf& guest, const std::string& text) {
    const std::size_t at = text.rfind(" 0x");
    if (at == std::string::npos || text.find_first_of(" ,", at + 1) != std::string::npos || text.find(' ') != at) {
        return text;
    }
    const Gva target(std::strtoull(text.c_str() + at + 1, nullptr, 16));
    return guest.function_at(target) ? text.substr(0, at + 1) + guest.describe(target) : text;
}

}  // namespace

x86::CodeMode code_mode(const engine::CpuState& regs) {
    return regs.cs == abi::user32_cs ? x86::CodeMode::bits32 : x86::CodeMode::bits64;
}

Result<Code> Code::create(const x86::Elf& guest, std::optional<x86::LineTable> lines) {
    STACKRIG_TRY_ASSIGN(x86::Decoder decoder, x86::Decoder::create());
    return Code(guest, std::move(lines), std::move(decoder));
}

CodeLine Code::line_of(Gva at, const x86::Instruction& instruction) const {
    CodeLine line{.address = at.value(), .label = guest_->describe(at), .text = with_symbol(*guest_, instruction.text)};
    if (const auto source = lines_ ? lines_->find(at) : std::nullopt) {
        line.file = source->file;
        line.line = source->line;
        line.source = source->text;
    }
    return line;
}

std::vector<CodeLine> Code::around(Gva at, x86::CodeMode mode, std::size_t before, std::size_t after) const {
    std::vector<CodeLine> lines;
    // x86 cannot be read backwards: from the start of the function on, and never into the next one.
    const auto function = guest_->function_at(at);
    std::size_t left = after + 1;
    for (Gva next = function ? function->first : at; left > 0 && (!function || next < function->second);) {
        const auto instruction = decoder_.decode(guest_->bytes_at(next), next, mode);
        if (!instruction) {
            break;
        }
        if (next < at && next + instruction->length > at) {
            lines.clear();  // data between, or another way of reading the bytes: begin at the boundary itself
            next = at;
            continue;
        }
        if (next < at && lines.size() == before && before > 0) {
            lines.erase(lines.begin());
        }
        if (next >= at || before > 0) {
            lines.push_back(line_of(next, *instruction));
        }
        left -= next >= at ? 1 : 0;
        next = next + instruction->length;
    }
    return lines;
}

std::string Code::access_of(const Moment& moment) const {
    if (moment.cpu >= moment.cpus.size()) {
        return "";
    }
    const engine::CpuState& regs = moment.cpus[moment.cpu].regs;
    const auto instruction = decoder_.decode(guest_->bytes_at(regs.rip), regs.rip, code_mode(regs));
    if (!instruction || !instruction->memory) {
        return "";
    }
    const Gva address = instruction->memory->address(regs.gpr, regs.rip + instruction->length, regs.gs_base);
    const auto stack = oracle::locate_access(address);
    const std::string what = stack ? stack_page_text(moment, *stack) : guest_->describe(address);
    return fmt::format("{}: {}", address, what == fmt::format("{}", address) ? "no stack" : what);
}

void Code::annotate(explore::ScenarioResult& result) const {
    for (explore::ViolationReport& v : result.violations) {
        if (v.moment.cpu < v.moment.cpus.size()) {
            const engine::CpuState& regs = v.moment.cpus[v.moment.cpu].regs;
            v.code = around(regs.rip, code_mode(regs), instructions_around, instructions_around);
            v.access = access_of(v.moment);
        }
    }
    for (explore::LandingReport& landing : result.landings) {
        landing.code = around(Gva(landing.address), x86::CodeMode::bits64, instructions_around, instructions_around);
    }
    for (explore::ScenarioResult& shown : result.shown) {
        annotate(shown);
    }
}

}  // namespace stackrig::report
