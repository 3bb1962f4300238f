// The command line.
#include <CLI/CLI.hpp>
#include <csignal>
#include <filesystem>
#include <functional>
#include <system_error>

#include "vmm/cli/commands.hpp"
#include "vmm/cli/help.hpp"
#include "vmm/scenario/scenario.hpp"

namespace {

using namespace stackrig;

std::string no_folder(const std::string& path) {
    std::error_code error;
    return std::filesystem::is_directory(path, error) ? path + " is a folder; name one scenario file" : "";
}

void add_host_kind(CLI::App& command, cli::HostChoice& host) {
    static const std::map<std::string, host::HostKind> names{
        {"auto", host::HostKind::automatic}, {"local", host::HostKind::local}, {"virtual", host::HostKind::virtual_host}};
    command
        .add_option_function<std::string>(
            "--host", [&host](const std::string& name) { host.kind = names.at(name); },
            "auto: the local /dev/kvm if the probe finds all that is required, else the virtual KVM host (default); local; virtual")
        ->check(CLI::IsMember({"auto", "local", "virtual"}));
}

void add_host(CLI::App& command, cli::HostChoice& host) {
    add_host_kind(command, host);
    command.add_flag("--npt", host.npt, "virtual host: kvm-amd with npt=1 instead of npt=0");
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);  // a peer that is gone is an error to report, not a death
    CLI::App app("stackrig: runs the dynamic-kernel-stack scheme of an LKML mail in a KVM guest and judges every sentence of it. "
                 "Exit codes: 0 all as expected, 1 violation or unexpected pass, 2 usage or scenario error, "
                 "3 host or rig error, 77 everything skipped.");
    app.require_subcommand(1);
    app.name("./rig");
    app.formatter(std::make_shared<cli::Help>());
    app.failure_message(cli::usage_failure);
    app.set_help_flag("-h,--help", "print this");
    app.footer("More about each: ./rig COMMAND --help. Every test: ./rig test. The guest with\nseeded bugs: ./rig mutants.");
    std::function<int()> chosen;

    cli::RunOptions run_options;
    CLI::App* run = app.add_subcommand("run", "run scenarios and print their verdicts");
    run->add_option("PATH", run_options.paths, "scenario files, or folders of them")->required();
    run->add_option("--variant", run_options.variant, "only this variant of each file");
    run->add_option("--format", "text (default) or ktap")->check(CLI::IsMember({"text", "ktap"}))->each([&](const std::string& f) { run_options.ktap = f == "ktap"; });
    run->add_option("--jsonl", run_options.files.jsonl, "also write results to FILE as JSON Lines, each as it happens");
    run->add_option("--junit", run_options.files.junit, "also write JUnit XML to FILE, for CI");
    run->add_option("--html", run_options.files.html, "also write a report with pictures to FILE: open it in a browser");
    run->add_option("--perfetto", run_options.files.perfetto, "also write the recorded runs to FILE as a trace for ui.perfetto.dev");
    run->add_option("-j,--jobs", run_options.jobs, "workers, each with a host of its own (default: 1); the output is the same")->check(CLI::Range(1, 64));
    run->add_flag("--every-instruction", run_options.every_instruction,
                  "step, and check at every instruction, as if each file said check = \"instruction\" (slow; the verdicts must be the same)");
    run->add_flag("-v,--verbose", run_options.verbose, "show pictures and landings of every scenario, not only of failures");
    run->add_flag("-q,--quiet", run_options.quiet, "only what is not as expected, and the summary");
    add_host(*run, run_options.host);
    run->callback([&] { chosen = [&] { return cli::run(run_options); }; });

    cli::InspectOptions inspect_options;
    CLI::App* inspect = app.add_subcommand("inspect", "draw threads, stack pages, cache and reserve at any place of a run");
    inspect->add_option("FILE", inspect_options.file, "scenario file")->required()->check(no_folder);
    inspect->add_option("--variant", inspect_options.variant, "a variant of the file instead of its own run");
    inspect->add_option("--at", inspect_options.at,
                        "a place: \"end\", \"step 3\", \"A user\", \"A sleeps\", \"mark(enter.done)#2\", \"do_syscall_64\", \"handler(irq)\"")
        ->default_str("end");
    inspect_options.at = "end";
    inspect->add_option("--gdb", inspect_options.gdb, "let gdb attach to the guest there, on this port of 127.0.0.1 (0: any)")->check(CLI::Range(0, 65535));
    add_host(*inspect, inspect_options.host);
    inspect->callback([&] { chosen = [&] { return cli::inspect(inspect_options); }; });

    cli::SweepOptions sweep_options;
    CLI::App* sweep = app.add_subcommand("sweep", "put every event at every boundary of a scenario's run, alone or in ordered pairs");
    sweep->add_option("FILE", sweep_options.file, "scenario file; its own run must be clean")->required()->check(no_folder);
    sweep->add_option("--events", sweep_options.events, "nmi, mc, db, bp, irq, device, tick (a timer IRQ that reschedules), alloc (failing allocations)")
        ->delimiter(',');
    sweep->add_option("--at", sweep_options.at, "only boundaries in these functions of the guest")->delimiter(',');
    sweep->add_option("--pairs", sweep_options.pairs,
                      "then a second one at every boundary behind each first, until the run is as it was without events. all: behind every "
                      "first one, which is for small windows (--at); fast: one first for each function, IF, NMI mask and number of mapped pages")
        ->check(CLI::IsMember(scenario::pairs_words()));
    sweep->add_option("--variant", sweep_options.variant, "a variant of the file");
    sweep->add_option("-j,--jobs", sweep_options.jobs, "workers, each with a VM of its own (default: 1)")->check(CLI::Range(1, 64));
    sweep->add_option("--jsonl", sweep_options.files.jsonl, "also write results to FILE as JSON Lines, each as it happens");
    sweep->add_option("--junit", sweep_options.files.junit, "also write JUnit XML to FILE, for CI");
    sweep->add_option("--html", sweep_options.files.html, "also write a report with a map of what was covered to FILE: open it in a browser");
    sweep->add_flag("--resume", sweep_options.resume, "go on with the sweep that FILE of --jsonl holds")->needs("--jsonl");
    sweep->add_option("--out", sweep_options.out, "folder for counterexamples (default: out/cx)");
    sweep->add_flag("--verify", sweep_options.verify, "compare all RAM and registers after each restore (slow)");
    sweep->add_flag("-q,--quiet", sweep_options.quiet, "no headline and no progress");
    add_host(*sweep, sweep_options.host);
    sweep->callback([&] { chosen = [&] { return cli::sweep(sweep_options); }; });

    cli::SoakOptions soak_options;
    CLI::App* soak = app.add_subcommand("soak", "random events in runs of the repaired scheme and of fixed stacks: nothing may fire");
    soak->add_option("PATH", soak_options.paths, "scenario files, or folders of them (default: scenarios); those that fit are taken");
    soak->add_option("--runs", soak_options.runs, "how many (default: 10000)");
    soak->add_option("--seed", soak_options.seed, "which ones: the same seed gives the same runs (default: 1)");
    soak->add_option("--first-round", soak_options.first, "go on where a soak with this seed ended, as it says (default: 0)");
    soak->add_option("--tally", soak_options.tally, "file that counts the runs of all soaks with this seed; each goes on where the last one ended, or was ended");
    soak->add_option("--minutes", soak_options.minutes, "begin no further round after so long");
    soak->add_option("-j,--jobs", soak_options.jobs, "workers, each with a VM of its own (default: 1)")->check(CLI::Range(1, 64));
    add_host(*soak, soak_options.host);
    soak->callback([&] { chosen = [&] { return cli::soak(soak_options); }; });

    cli::ReplayOptions replay_options;
    CLI::App* replay = app.add_subcommand("replay", "run a counterexample again, and say whether its trace is the recorded one");
    replay->add_option("FILE", replay_options.file, "scenario file with decisions")->required()->check(no_folder);
    replay->add_option("--to", replay_options.to, "stop at a place and draw what is there, as inspect --at");
    replay->add_option("--gdb", replay_options.gdb, "let gdb attach to the guest at --to (default: the end), on this port of 127.0.0.1")->check(CLI::Range(0, 65535));
    replay->add_flag("--trace", replay_options.trace, "print every stop")->excludes("--to")->excludes("--gdb");
    replay->add_flag("--registers", replay_options.registers, "print every stop, and all registers there")->excludes("--to")->excludes("--gdb");
    replay->add_option("--variant", replay_options.variant, "a variant of the file");
    replay->add_option("--times", replay_options.times, "how often (default: 1)")->check(CLI::Range(1, 1000000));
    replay->add_flag("--check-determinism", replay_options.check_determinism, "run twice, and show the first stop that differs");
    replay
        ->add_flag("--bit-exact", replay_options.bit_exact,
                   "in a virtual host whose time is the count of its instructions: the same TSC each time, shown by --trace (takes seconds)")
        ->excludes("--gdb")
        ->excludes("--to");
    replay->add_flag("--force", replay_options.force, "also with another guest build than it was found with");
    add_host(*replay, replay_options.host);
    replay->callback([&] { chosen = [&] { return cli::replay(replay_options); }; });

    CLI::App* shrink = app.add_subcommand("shrink", "leave out of a failing scenario every decision that it does not need");
    shrink->add_option("FILE", replay_options.file, "scenario file with decisions")->required()->check(no_folder);
    shrink->add_option("--out", replay_options.out, "folder for the result (default: out/cx)");
    shrink->add_flag("--force", replay_options.force, "also with another guest build than it was found with");
    add_host(*shrink, replay_options.host);
    shrink->callback([&] { chosen = [&] { return cli::shrink(replay_options); }; });

    std::vector<std::string> paths;
    bool json = false;
    CLI::App* check = app.add_subcommand("check", "check scenario files without running them; every problem at once");
    check->add_option("PATH", paths, "scenario files, or folders of them")->required();
    check->add_flag("--json", json, "problems as JSON");
    check->callback([&] { chosen = [&] { return cli::check(paths, json); }; });

    std::string what = "scenarios";
    std::string folder = "scenarios";
    bool verbs = false;
    bool schema = false;
    CLI::App* list = app.add_subcommand("list", "list scenarios, the mail's claims or the hazards with their scenarios, or the invariants");
    list->add_option("WHAT", what, "scenarios (default), claims, hazards, invariants")->check(CLI::IsMember({"scenarios", "claims", "hazards", "invariants"}));
    list->add_option("--in", folder, "folder of scenarios (default: scenarios)");
    list->add_flag_callback("--hazards", [&] { what = "hazards"; }, "the same as WHAT = hazards");
    list->add_flag("--verbs", verbs, "every word of programs, schedules, events, places and predicates");
    list->add_flag("--schema", schema, "JSON Schema of scenario files, for editors")->excludes("--verbs");
    list->callback([&] { chosen = [&] { return verbs ? cli::list_verbs() : schema ? cli::list_schema() : cli::list({folder}, what); }; });

    std::string new_file;
    CLI::App* new_command = app.add_subcommand("new", "begin a scenario: a commented file that runs and passes as it is");
    new_command->add_option("FILE", new_file, "for example scenarios/my-idea; .toml is added")->required();
    new_command->callback([&] { chosen = [&] { return cli::new_scenario(new_file); }; });

    bool only_check = false;
    CLI::App* format = app.add_subcommand("fmt", "lay out scenario files: = aligned, arrays indented; never changes what they say");
    format->add_option("PATH", paths, "scenario files, or folders of them")->required();
    format->add_flag("--check", only_check, "only say which would change; exit 1 if any");
    format->callback([&] { chosen = [&] { return cli::format(paths, only_check); }; });

    std::string id;
    CLI::App* explain = app.add_subcommand("explain", "an invariant, claim or hazard: what it says, the mail's sentence, the scenarios that test it");
    explain->add_option("ID", id, "for example INV-19, C7 or HZ-B3")->required();
    explain->add_option("--in", folder, "folder of scenarios (default: scenarios)");
    explain->callback([&] { chosen = [&] { return cli::explain(id, folder); }; });

    cli::HostChoice host;
    CLI::App* doctor = app.add_subcommand("doctor", "what the KVMs of this machine can do, and which one would be used");
    doctor->add_flag("--json", json, "as JSON");
    add_host_kind(*doctor, host);
    doctor->callback([&] { chosen = [&] { return cli::doctor(host.kind, json); }; });

    CLI::App* bench = app.add_subcommand("bench", "what an exit, a step, a run and a look at all stacks cost on the chosen host, in ns");
    bench->add_flag("--json", json, "Google Benchmark's JSON");
    std::string only;
    bench->add_option("--only", only, "a regular expression: only the figures whose names it matches");
    add_host(*bench, host);
    bench->callback([&] { chosen = [&] { return cli::bench(host, json, only); }; });

    std::vector<std::string> files;
    CLI::App* exec = app.add_subcommand("exec", "run PROGRAM ARGS... of the build on the chosen host (how the KVM tests are run)");
    exec->prefix_command();
    exec->add_option("--put", files, "a file that shall be beside the program")->allow_extra_args(false);
    add_host(*exec, host);
    exec->callback([&] {
        if (exec->remaining().empty()) {
            throw CLI::RequiredError("PROGRAM");
        }
        chosen = [&] { return cli::exec(host, files, exec->remaining()); };
    });

    CLI::App* ask = app.add_subcommand("ask", "pass requests on standard input to a worker, one JSON object a line (how ./rig mutants works)")->group("");
    ask->add_option("--put", files, "more guest images")->allow_extra_args(false);
    add_host(*ask, host);
    ask->callback([&] { chosen = [&] { return cli::ask(host, files); }; });

    std::string guest;
    CLI::App* worker = app.add_subcommand("worker", "")->group("");
    worker->add_option("--guest", guest)->required();
    worker->callback([&] { chosen = [&] { return cli::worker(guest); }; });

    if (argc == 1) {
        std::fputs(app.help().c_str(), stderr);
        return cli::exit_usage;
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : cli::exit_usage;
    }
    try {
        return chosen();
    } catch (const std::system_error& error) {
        if (error.code() != std::errc::broken_pipe) {
            throw;
        }
        return 128 + SIGPIPE;  // `| head` has seen enough; the exit code is the one shells know for it
    }
}
