// Own layout: the library's differs between its versions, and its lines know no end.
#include "vmm/cli/help.hpp"

#include <fmt/format.h>
#include <map>

#include "vmm/report/text.hpp"
#include "vmm/scenario/nearest.hpp"

namespace stackrig::cli {
namespace {

constexpr std::size_t columns = 80;
constexpr std::size_t text_from = 24;

/// "  -j, --jobs N          workers, ...", the text in a column of its own.
std::string entry(const std::string& name, const std::string& text) {
    const std::string head = "  " + name;
    const std::string body = report::wrap(text, columns, text_from);
    if (head.size() + 2 > text_from) {
        return head + "\n" + body;
    }
    return head + (body.empty() ? "\n" : std::string(text_from - head.size(), ' ') + body.substr(text_from));
}

/// What stands for an option's value.
std::string value_word(const CLI::Option& option) {
    static const std::map<std::string, std::string> words{
        {"jsonl", "FILE"}, {"junit", "FILE"},  {"html", "FILE"},         {"perfetto", "FILE"}, {"put", "FILE"},     {"tally", "FILE"},     {"out", "FOLDER"},
        {"in", "FOLDER"},  {"at", "PLACE"},    {"to", "PLACE"},          {"gdb", "PORT"},      {"variant", "NAME"}, {"only", "REGEX"}, {"format", "WORD"},
        {"pairs", "WORD"}, {"host", "WORD"}};
    if (option.get_delimiter() != '\0') {
        return " WORD,...";
    }
    const auto found = option.get_lnames().empty() ? words.end() : words.find(option.get_lnames().front());
    return option.get_expected_max() == 0 ? "" : found == words.end() ? " N" : " " + found->second;
}

std::string names_of(const CLI::Option& option) {
    if (option.get_positional()) {
        return option.get_name();
    }
    std::string out;
    for (const std::string& name : option.get_snames()) {
        out += (out.empty() ? "-" : ", -") + name;
    }
    for (const std::string& name : option.get_lnames()) {
        out += (out.empty() ? "    --" : ", --") + name;
    }
    return out + value_word(option);
}

std::string usage(const CLI::App& app, const std::string& name) {
    std::string out = "Usage: " + name;
    for (const CLI::Option* option : app.get_options([](const CLI::Option* o) { return o->get_positional(); })) {
        const std::string shown = option->get_name() + (option->get_expected_max() > 1 ? "..." : "");
        out += option->get_required() ? " " + shown : " [" + shown + "]";
    }
    const bool commands = !app.get_subcommands({}).empty();
    return out + (commands ? " COMMAND [OPTION...]" : " [OPTION...]") + "\n";
}

/// Commands that run as they stand.
std::string example_of(const std::string& command) {
    static const std::map<std::string, std::string> examples{
        {"run", "    ./rig run scenarios/seed/c7-reserve-holder-rescheduled.toml --verbose\n"
                "    ./rig run scenarios/schemes --html report.html\n"},
        {"inspect", "    ./rig inspect scenarios/seed/c7-two-irqs-in-a-row.toml --at \"A user\"\n"},
        {"sweep", "    ./rig sweep scenarios/schemes/fixed-null-syscall.toml --events mc --at call\n"},
        {"replay", "    ./rig replay scenarios/seed/c7-two-irqs-in-a-row.toml --times 10\n"},
        {"check", "    ./rig check scenarios\n"},
        {"list", "    ./rig list hazards\n    ./rig list --verbs\n"},
        {"explain", "    ./rig explain INV-19\n    ./rig explain HZ-B3\n"}};
    const auto found = examples.find(command);
    return found == examples.end() ? "" : found->second;
}

std::vector<std::string> commands_of(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::App* command : app.get_subcommands({})) {
        if (!command->get_group().empty()) {  // else it is for the rig's own use
            names.push_back(command->get_name());
        }
    }
    return names;
}

std::vector<std::string> options_of(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::Option* option : app.get_options([](const CLI::Option* o) { return o->nonpositional(); })) {
        for (const std::string& name : option->get_lnames()) {
            names.push_back("--" + name);
        }
    }
    return names;
}

/// What the library could not place: a command, or an option of the command that was given.
std::string unknown(const CLI::App& app, const std::string& word) {
    const bool in_command = !app.get_subcommands().empty();
    const CLI::App& given = in_command ? *app.get_subcommands().front() : app;
    if (word.starts_with("-")) {
        const std::string name = word.substr(0, word.find('='));
        const std::string hint = scenario::nearest(name, options_of(given)).value_or("");
        return fmt::format("there is no option {}{}", name, hint.empty() ? "" : fmt::format("; did you mean {}?", hint));
    }
    if (in_command) {
        return fmt::format("\"{}\" is one argument too many", word);
    }
    const std::string hint = scenario::nearest(word, commands_of(app)).value_or("");
    return fmt::format("there is no command \"{}\"{}", word, hint.empty() ? "" : fmt::format("; did you mean \"{}\"?", hint));
}

}  // namespace

std::string Help::make_help(const CLI::App* app, std::string name, CLI::AppFormatMode) const {
    std::string out = report::wrap(app->get_description(), columns, 0) + "\n" + usage(*app, name) + "\n";
    for (const CLI::Option* option : app->get_options([](const CLI::Option* o) { return o->get_positional(); })) {
        out += entry(names_of(*option), option->get_description());
    }
    for (const CLI::App* command : app->get_subcommands([](const CLI::App* c) { return !c->get_group().empty(); })) {
        out += entry(command->get_name(), command->get_description());
    }
    out += out.ends_with("\n\n") ? "" : "\n";
    for (const CLI::Option* option : app->get_options([](const CLI::Option* o) { return o->nonpositional(); })) {
        out += entry(names_of(*option), option->get_description());
    }
    if (app->get_parent() == nullptr) {
        return out + "\n" + app->get_footer() + "\n";
    }
    const std::string example = example_of(app->get_name());
    return example.empty() ? out : out + "\nFor example:\n" + example;
}

std::string usage_failure(const CLI::App* app, const CLI::Error& error) {
    const auto given = app->get_subcommands();
    const std::vector<std::string> rest = app->remaining(true);
    const bool unplaced = !rest.empty() && (given.empty() || dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr);
    const std::string what = unplaced ? unknown(*app, rest.front()) : error.what();
    return fmt::format("error: {}\n./rig {}--help says what there is.\n", what, given.empty() ? "" : given.front()->get_name() + " ");
}

}  // namespace stackrig::cli
