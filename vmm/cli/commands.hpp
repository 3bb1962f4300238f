// The subcommands. Each takes its parsed options and returns the process exit code.
#pragma once

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "vmm/cli/common.hpp"
#include "vmm/cli/outputs.hpp"

namespace stackrig::cli {

/// 0 all as expected, 1 violation, 2 usage or scenario error, 3 host or rig error, 77 all skipped.
inline constexpr int exit_usage = 2;
inline constexpr int exit_host = 3;

struct RunOptions {
    std::vector<std::string> paths;
    std::optional<std::string> variant;  ///< only this one; "" would be the files' own runs
    bool ktap = false;
    OutputFiles files;
    std::uint32_t jobs = 1;
    bool every_instruction = false;
    bool verbose = false;
    bool quiet = false;
    HostChoice host;
};
int run(const RunOptions& options);

struct InspectOptions {
    std::optional<std::uint16_t> gdb;  ///< port; nothing: draw and end
    std::string file;
    std::string variant;
    std::string at;
    HostChoice host;
};
int inspect(const InspectOptions& options);

struct SweepOptions {
    std::string file;
    std::string variant;
    std::vector<std::string> events;  ///< words; empty: what the file says
    std::vector<std::string> at;      ///< functions; empty: what the file says, or everywhere
    std::string pairs;                ///< all or fast; empty: what the file says
    std::uint32_t jobs = 1;
    OutputFiles files;                ///< its jsonl is the ledger: --resume reads it
    std::string out = "out/cx";       ///< folder for counterexamples
    bool resume = false;
    bool verify = false;
    bool quiet = false;
    HostChoice host;
};
int sweep(const SweepOptions& options);

struct SoakOptions {
    std::vector<std::string> paths{"scenarios"};
    std::uint64_t runs = 10000;
    std::uint64_t seed = 1;
    std::uint64_t first = 0;    ///< round to begin with
    std::string tally;          ///< file with the counts of earlier ones, which go on; empty: none
    std::uint64_t minutes = 0;  ///< 0: no limit
    std::uint32_t jobs = 1;
    HostChoice host;
};
/// Random events in runs of the repaired scheme and of the fixed-stack baseline: whatever fires is a false alarm, or a bug.
int soak(const SoakOptions& options);

struct ReplayOptions {
    std::optional<std::uint16_t> gdb;  ///< port
    std::string file;
    std::string variant;
    std::string to;  ///< a place; empty: the whole run
    std::string out = "out/cx";
    std::uint64_t times = 1;
    bool trace = false;
    bool registers = false;  ///< with each stop of the trace
    bool force = false;
    bool check_determinism = false;
    bool bit_exact = false;
    HostChoice host;
};
int replay(const ReplayOptions& options);
int shrink(const ReplayOptions& options);

int check(const std::vector<std::string>& paths, bool json);
int list(const std::vector<std::string>& paths, const std::string& what);
/// Keys and words of scenario files: the JSON Schema for editors, or the list of words.
int list_schema();
int list_verbs();
/// Writes a commented scenario to begin with; never over a file that exists.
int new_scenario(const std::string& file);
/// Lays out scenario files; `only_check`: says which would change, exit 1 if any.
int format(const std::vector<std::string>& paths, bool only_check);
int explain(const std::string& id, const std::string& scenarios);
int doctor(host::HostKind kind, bool json);
/// `only`: a regular expression for the names of the figures wanted, empty for all.
int bench(const HostChoice& host, bool json, const std::string& only);
/// Any program of the build on the chosen host, with its streams and exit status: for tests and for the curious.
int exec(const HostChoice& host, const std::vector<std::string>& files, const std::vector<std::string>& command, std::FILE* headline_to = stdout);
/// Requests for a worker from standard input, one JSON object a line, answers to standard output: how tests/self drives many
/// guests, `guests`, in one host.
int ask(const HostChoice& host, const std::vector<std::string>& guests);
int worker(const std::string& guest);

}  // namespace stackrig::cli
