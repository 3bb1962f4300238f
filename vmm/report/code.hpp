// The guest's code as reports show it: instructions around a boundary, with symbols and source lines.
#pragma once

#include <optional>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/explore/result.hpp"
#include "vmm/x86/decode.hpp"
#include "vmm/x86/elf.hpp"
#include "vmm/x86/lines.hpp"

namespace stackrig::report {

class Code {
  public:
    /// `lines`: nothing when there is no table for this build; instructions are shown without their source then. `guest`
    /// must outlive this. Error: host, when Capstone does not start.
    static Result<Code> create(const x86::Elf& guest, std::optional<x86::LineTable> lines);

    /// Up to `before` instructions of the same function, the one at `at`, and up to `after` more. Empty when there is no code.
    [[nodiscard]] std::vector<explore::CodeLine> around(Gva at, x86::CodeMode mode, std::size_t before, std::size_t after) const;

    /// "0xffffc90000016ff8: P1 of B's stack, not present" for the instruction that is next on the CPU of
    /// `moment` that stopped; empty when it touches no memory.
    [[nodiscard]] std::string access_of(const oracle::Moment& moment) const;

    /// Fills in what a result holds of code.
    void annotate(explore::ScenarioResult& result) const;

  private:
    Code(const x86::Elf& guest, std::optional<x86::LineTable> lines, x86::Decoder decoder)
        : guest_(&guest), lines_(std::move(lines)), decoder_(std::move(decoder)) {}
    [[nodiscard]] explore::CodeLine line_of(Gva at, const x86::Instruction& instruction) const;

    const x86::Elf* guest_;
    std::optional<x86::LineTable> lines_;
    x86::Decoder decoder_;
};

/// How code at CS of `regs` is decoded.
[[nodiscard]] x86::CodeMode code_mode(const engine::CpuState& regs);

}  // namespace stackrig::report
