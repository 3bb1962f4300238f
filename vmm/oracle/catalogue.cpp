// Collects the rows of all families, and explains them.
#include "vmm/oracle/catalogue.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <cctype>

#include "vmm/oracle/families.hpp"

namespace stackrig::oracle {
namespace {

using Table = std::array<Invariant, inv_count>;

Table collect() {
    Table table = {};
    for (const auto rows : {mapping::rows(), ledger::rows(), sources::rows(), hooks::rows(), windows::rows(),
                            waiting::rows(), reserve::rows(), translations::rows(), classes::rows(),
                            liveness::rows(), deadlock::rows(), contexts::rows(), leak::rows(), belief::rows(),
                            failure::rows()}) {
        for (const Invariant& row : rows) {
            table[static_cast<std::size_t>(row.inv)] = row;
        }
    }
    return table;
}

bool same_id(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](unsigned char x, unsigned char y) { return std::toupper(x) == std::toupper(y); });
}

std::string paragraph(std::string_view head, std::string_view text) {
    constexpr std::size_t columns = 72;
    constexpr std::size_t indent = 10;
    std::string out = fmt::format("{:<{}}", head, indent);
    std::size_t column = indent;
    while (!text.empty()) {
        const std::string_view word = text.substr(0, text.find(' '));
        text.remove_prefix(std::min(text.size(), word.size() + 1));
        if (column > indent && column + 1 + word.size() > columns) {
            out += "\n" + std::string(indent, ' ');
            column = indent;
        } else if (column > indent) {
            out += ' ';
            ++column;
        }
        out += word;
        column += word.size();
    }
    return out + "\n";
}

std::string_view basis_text(Basis basis) {
    switch (basis) {
        case Basis::claim:
            return "the mail, put formally";
        case Basis::derived:
            return "not in the mail; its claims need it";
        case Basis::rig:
            return "what any kernel must keep";
        case Basis::note:
            return "told as a note; ends a run only when the scenario expects it";
    }
    return "";
}

std::string_view schemes_text(unsigned schemes) {
    switch (schemes) {
        case under_fixed | under_entry_exit:
            return "entry-exit, fixed";
        case under_entry_exit:
            return "entry-exit";
        default:
            return "fixed";
    }
}

}  // namespace

std::span<const Invariant> catalogue() {
    static const Table table = collect();
    return table;
}

const Invariant& invariant(Inv inv) { return catalogue()[static_cast<std::size_t>(inv)]; }

std::optional<Inv> find_invariant(std::string_view id) {
    for (const Invariant& row : catalogue()) {
        if (same_id(row.id, id)) {
            return row.inv;
        }
    }
    return std::nullopt;
}

bool applies(const Invariant& row, abi::Scheme scheme) {
    return (row.schemes & (scheme == abi::Scheme::fixed ? under_fixed : under_entry_exit)) != 0;
}

std::optional<std::string> explain(std::string_view id) {
    const auto inv = find_invariant(id);
    if (!inv) {
        return std::nullopt;
    }
    const Invariant& row = invariant(*inv);
    std::string out = fmt::format("{}: {}\n", row.id, row.title);
    out += paragraph("holds", row.statement);
    if (!row.sentence.empty()) {
        out += paragraph("mail", fmt::format("\"{}\"", row.sentence));
        out += paragraph("", fmt::format("({})", row.said_in));
    }
    out += paragraph("basis", basis_text(row.basis));
    out += paragraph("checked", row.how);
    out += paragraph("schemes", schemes_text(row.schemes));
    if (!row.leads_to.empty()) {
        out += paragraph(
            "leads to", fmt::format("{}: where a scenario expects that, this one breaking first is noted and "
                                    "the run goes on.",
                                    row.leads_to));
    }
    return out + paragraph("file", row.file);
}

std::string catalogue_markdown(std::span<const SeededBug> bugs) {
    std::string out =
        "# What the oracle checks\n\n"
        "Generated from the checks themselves; `./rig explain ID` prints the same and names the scenarios.\n";
    for (const Invariant& row : catalogue()) {
        out += fmt::format("\n## {}: {}\n\n{}\n", row.id, row.title, row.statement);
        if (!row.sentence.empty()) {
            out += fmt::format("\n> {}\n>\n> {}\n", row.sentence, row.said_in);
        }
        out += fmt::format("\n- Basis: {}\n- Checked: {}\n- Schemes: {}\n- Source: `{}`\n",
                           basis_text(row.basis), row.how, schemes_text(row.schemes), row.file);
        std::string killed;
        for (const SeededBug& bug : bugs) {
            killed += bug.invariant == row.id ? fmt::format("{}`{}`", killed.empty() ? "" : ", ", bug.name) : "";
        }
        out += killed.empty() ? "" : fmt::format("- Seeded bugs it kills (tests/self/bugs): {}\n", killed);
    }
    out += "\n## Without a check of their own\n\n";
    for (const Elsewhere& row : checked_elsewhere()) {
        const std::string covered = row.covered_by.empty() ? "Not checked." : fmt::format("Covered by {}.", row.covered_by);
        out += fmt::format("- {}, {}. {}{}{}\n", row.id, row.title, covered, row.reason.empty() ? "" : " ", row.reason);
    }
    return out;
}

}  // namespace stackrig::oracle
