// Requests and answers.
#include "vmm/host/worker.hpp"

#include <cerrno>
#include <fmt/format.h>
#include <unistd.h>

#include "vmm/explore/single.hpp"
#include "vmm/host/child.hpp"
#include "vmm/host/explore_requests.hpp"
#include "vmm/host/gdb_target.hpp"
#include "vmm/host/probe.hpp"
#include "vmm/host/self_test.hpp"
#include "vmm/host/stream.hpp"
#include "vmm/host/worker_client.hpp"
#include "vmm/report/json.hpp"
#include "vmm/scenario/sentence.hpp"

namespace stackrig::host {
namespace {

/// More than there are between two stops of any shipped scenario, on average.
constexpr std::uint64_t instructions_for_a_stop = 1000;

Json error_answer(const Error& error) { return {{"error", error.text}, {"kind", name_of(error.kind)}}; }

class Worker {
  public:
    explicit Worker(std::string guest) : guest_path_(std::move(guest)) {}
    Result<Json> answer(const Json& request);

  private:
    Result<void> open();
    Result<void> load(const std::string& guest);
    Result<Json> probe_answer(const Json& request);
    Result<Json> run(const Json& request);
    Result<Json> inspect(const Json& request);
    Result<Json> gdb(const Json& request);
    Result<Json> gdb_packet(const Json& request);
    Result<scenario::Scenario> checked(const Json& request) const;
    [[nodiscard]] explore::Bench bench() const;

    std::string guest_path_;  // of the build
    std::optional<kvm::System> system_;
    std::optional<x86::Elf> guest_;
    std::optional<ProbeReport> report_;
    std::optional<explore::Bench> explore_bench_;  // outlives explorer_, which refers to it
    ExploreRequests explorer_;
    std::unique_ptr<GdbTarget> gdb_;
};

Result<void> Worker::open() {
    if (!system_) {
        STACKRIG_TRY_ASSIGN(system_, kvm::System::open());
    }
    if (!report_) {
        STACKRIG_TRY_ASSIGN(report_, probe(*system_));
    }
    return {};
}

Result<void> Worker::load(const std::string& guest) {
    if (guest_ && guest_->path() == guest) {
        return {};
    }
    gdb_.reset();  // what follows refers to the guest there was
    explorer_ = {};
    explore_bench_.reset();
    STACKRIG_TRY_ASSIGN(guest_, x86::Elf::load(guest));
    return {};
}

/// The optional key of `probe`: {"steps": the guest of guest/steps}, for the self-test where the probe finds enough for it.
Result<Json> Worker::probe_answer(const Json& request) {
    STACKRIG_TRY(open());
    ProbeReport report = *report_;
    if (const std::string steps = request.value("steps", ""); !steps.empty() && report.sufficient) {
        STACKRIG_TRY_ASSIGN(const x86::Elf elf, x86::Elf::load(steps));
        STACKRIG_TRY_ASSIGN(const std::vector<ProbeItem> rules, self_test(*system_, elf));
        report.add(rules);
    }
    Json items = Json::array();
    for (const ProbeItem& item : report.items) {
        items.push_back({{"name", item.name}, {"required", item.required}, {"ok", item.ok}, {"detail", item.detail}});
    }
    return Json{{"items", items}, {"sufficient", report.sufficient}, {"why_not", report.why_not()}};
}

explore::Bench Worker::bench() const {
    explore::Bench bench{*system_, *guest_, {}};
    for (const ProbeItem& item : report_->items) {
        if (item.ok) {
            bench.capabilities.insert(item.name);
        }
    }
    return bench;
}

Result<scenario::Scenario> Worker::checked(const Json& request) const {
    auto scenarios = scenario::check(request.at("text").get<std::string>(), request.at("file").get<std::string>(), explore::GuestSymbols(*guest_));
    if (!scenarios) {
        return tl::make_unexpected(scenario::to_error(scenarios.error()));
    }
    const std::string variant = request.value("variant", "");
    for (scenario::Scenario& scenario : *scenarios) {
        if (scenario.variant == variant) {
            if (!scenario.plan.check_every_instruction && request.value("check", "") == "instruction") {
                scenario.plan.check_every_instruction = true;
                scenario.plan.max_stops *= instructions_for_a_stop;  // the author has counted the others
            }
            return std::move(scenario);
        }
    }
    return fail(ErrorKind::usage, fmt::format("{} has no variant \"{}\"", scenarios->front().file, variant));
}

/// The optional keys of `run`: {"timeline": moments to keep, "timeline_of_passes": true}.
explore::Recording recording_of(const Json& request) {
    return {.moments = request.value("timeline", std::size_t{0}), .passes_too = request.value("timeline_of_passes", false)};
}

Result<Json> Worker::run(const Json& request) {
    STACKRIG_TRY_ASSIGN(const scenario::Scenario scenario, checked(request));
    STACKRIG_TRY_ASSIGN(const explore::ScenarioResult result, explore::run_scenario(bench(), scenario, recording_of(request)));
    return report::to_json(result);
}

Result<Json> Worker::inspect(const Json& request) {
    STACKRIG_TRY_ASSIGN(const scenario::Scenario scenario, checked(request));
    const explore::GuestSymbols symbols(*guest_);
    const auto place = scenario::parse_place(request.at("at").get<std::string>(), scenario::names_of(scenario, symbols));
    if (!place) {
        return tl::make_unexpected(scenario::to_error(place.error()));
    }
    STACKRIG_TRY_ASSIGN(const std::string text, explore::look_at(bench(), scenario, *place));
    return Json{{"text", text}};
}

Result<Json> Worker::gdb(const Json& request) {
    STACKRIG_TRY_ASSIGN(scenario::Scenario scenario, checked(request));
    STACKRIG_TRY_ASSIGN(gdb_, GdbTarget::start(*explore_bench_, std::move(scenario), request.at("at").get<std::string>()));
    return Json{{"text", gdb_->picture()}};
}

Result<Json> Worker::gdb_packet(const Json& request) {
    if (!gdb_) {
        return fail(ErrorKind::rig, "a packet of gdb, and no guest that stands for it: \"do\": \"gdb\" comes first");
    }
    STACKRIG_TRY_ASSIGN(const auto reply, gdb_->handle(request.at("packet").get<std::string>()));
    return reply ? Json{{"reply", *reply}, {"news", gdb_->take_news()}} : Json{{"running", true}};
}

Result<Json> Worker::answer(const Json& request) {
    const std::string what = request.value("do", "");
    if (what == "probe") {
        return probe_answer(request);
    }
    STACKRIG_TRY(open());
    STACKRIG_TRY(load(request.value("guest", guest_path_)));
    if (what == "run") {
        return run(request);
    }
    if (what == "inspect") {
        return inspect(request);
    }
    if (!explore_bench_) {
        explore_bench_.emplace(bench());
    }
    if (what == "gdb") {
        return gdb(request);
    }
    if (what == "gdb-packet") {
        return gdb_packet(request);
    }
    if (ExploreRequests::knows(what)) {
        STACKRIG_TRY_ASSIGN(scenario::Scenario scenario, checked(request));
        return explorer_.answer(request, *explore_bench_, std::move(scenario));
    }
    return fail(ErrorKind::rig, fmt::format("the worker does not know the request \"{}\", but probe, run, inspect, gdb, gdb-packet, sweep, sample, replay and shrink", what));
}

}  // namespace

Result<void> serve(int in, int out, const std::string& guest) {
    Worker worker(guest);
    MessageReader reader;
    for (;;) {
        STACKRIG_TRY_ASSIGN(const auto request, reader.next());
        if (request) {
            const Result<Json> answer = worker.answer(*request);
            STACKRIG_TRY(write_all(out, encode_message(answer ? *answer : error_answer(answer.error())), "the front end"));
            continue;
        }
        std::string bytes(65536, '\0');
        const ssize_t n = ::read(in, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return {};  // the front end has nothing more to ask
        }
        bytes.resize(static_cast<std::size_t>(n));
        reader.feed(bytes);
    }
}

}  // namespace stackrig::host
