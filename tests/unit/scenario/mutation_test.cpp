// Broken files: whatever a file holds, the answer is a model or problems with places inside the file. Never a
// crash.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "tests/unit/scenario/fake_guest.hpp"
#include "vmm/scenario/scenario.hpp"

namespace stackrig::scenario {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> corpus() {
    std::vector<fs::path> paths;
    for (const char* folder : {"scenarios", "tests/golden/scenario"}) {
        for (const auto& entry : fs::recursive_directory_iterator(fs::path(STACKRIG_SOURCE_ROOT) / folder)) {
            if (entry.path().extension() == ".toml") {
                paths.push_back(entry.path());
            }
        }
    }
    std::sort(paths.begin(), paths.end());  // the order of a directory is not the same everywhere
    std::vector<std::string> out;
    for (const fs::path& path : paths) {
        std::ifstream in(path, std::ios::binary);
        out.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>{});
    }
    return out;
}

class Mutator {
  public:
    explicit Mutator(std::uint32_t seed) : random_(seed) {}

    std::string mutate(std::string text, const std::vector<std::string>& others) {
        for (std::size_t edits = 1 + below(4); edits > 0; --edits) {
            edit(text, others);
        }
        return text;
    }
    std::size_t below(std::size_t n) { return n == 0 ? 0 : random_() % n; }

  private:
    void edit(std::string& text, const std::vector<std::string>& others) {
        static constexpr const char* pieces[] = {
            "\"",          "(",      ")",       "[",       "]",    "#",  "\n", "=",    "!",
            "&&",          "||",     " until ", "\\u00e9", "\xff", "\t", "日", "0x",   "99999999999999999999",
            "'''",         "\"\"\"", "\\",      "{",       "}",    ".",  "-1", "\r\n", "cpu1",
            "\xef\xbb\xbf"};
        const std::size_t at = below(text.size() + 1);
        switch (below(6)) {
            case 0:
                text.insert(at, pieces[below(std::size(pieces))]);
                break;
            case 1:
                text.erase(at, 1 + below(12));
                break;
            case 2:
                if (at < text.size()) {
                    text[at] = static_cast<char>(below(256));
                }
                break;
            case 3:
                text.insert(at, text.substr(below(text.size() + 1), below(200)));
                break;
            case 4: {
                const std::string& other = others[below(others.size())];
                text.insert(at, other.substr(below(other.size()), below(120)));
                break;
            }
            default:
                text.resize(at);
                break;
        }
    }
    std::mt19937 random_;
};

void expect_sane(const Diagnostic& d, const std::string& text) {
    const auto lines = static_cast<std::uint32_t>(std::count(text.begin(), text.end(), '\n')) + 1;
    EXPECT_LE(d.line, lines) << d.text;
    EXPECT_FALSE(d.text.empty());
    EXPECT_EQ(printable(d.text), d.text);
    EXPECT_EQ(printable(d.source_line), d.source_line);
    if (d.line > 0) {
        EXPECT_GE(d.column, 1u);
        EXPECT_LE(d.column, utf8_count(d.source_line) + 1) << d.text << "\n" << d.source_line;
        EXPECT_GE(d.length, 1u);
    }
    EXPECT_FALSE(render(d).empty());
}

TEST(Mutation, NeverCrashesAndAlwaysPointsIntoTheFile) {
    const std::vector<std::string> files = corpus();
    const FakeSymbols symbols;
    Mutator mutator(20240317);
    std::size_t refused = 0;
    for (int round = 0; round < 4000; ++round) {
        const std::string text = mutator.mutate(files[mutator.below(files.size())], files);
        const auto checked = check(text, "mutant.toml", symbols);
        if (checked) {
            continue;
        }
        ++refused;
        ASSERT_FALSE(checked.error().empty());
        for (const Diagnostic& d : checked.error()) {
            expect_sane(d, text);
        }
        if (HasFailure()) {
            FAIL() << "round " << round << "\n" << text;
        }
    }
    EXPECT_GT(refused, 1000u);
}

}  // namespace
}  // namespace stackrig::scenario
