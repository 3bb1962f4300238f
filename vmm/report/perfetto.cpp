// Slices for contexts and thread states, counters for pages, instants for events and violations, flows for IPIs.
#include "vmm/report/perfetto.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <optional>

#include "vmm/report/json.hpp"

namespace stackrig::report {
namespace {

using explore::ScenarioResult;
using oracle::Moment;
using oracle::MomentCpu;
using oracle::MomentThread;

/// Events of one result.
class Tracks {
  public:
    Tracks(const ScenarioResult& result, std::uint64_t pid, Json& events)
        : result_(result), moments_(result.timeline.moments), cpus_(pid), threads_(pid + 1), events_(events) {}

    void write() {
        name_process(cpus_, result_.name);
        name_process(threads_, result_.name + ", its threads");
        for (std::size_t cpu = 0; cpu < moments_.back().cpus.size(); ++cpu) {
            write_cpu(cpu);
        }
        for (std::size_t i = 0; i < moments_.size(); ++i) {
            write_instants(i);
        }
        for (const MomentThread& t : moments_.back().threads) {
            write_thread(t.name);
        }
        counter(cpus_, "free pages", [](const Moment& m) { return m.free_pages; });
    }

  private:
    std::uint64_t ts(std::size_t i) const { return i < moments_.size() ? moments_[i].stop : moments_.back().stop + 1; }

    void add(const char* phase, const std::string& name, const char* category, std::uint64_t at, std::uint64_t pid, std::uint64_t tid, Json more) {
        Json event{{"name", name}, {"cat", category}, {"ph", phase}, {"ts", at}, {"pid", pid}, {"tid", tid}};
        event.update(more);
        events_.push_back(std::move(event));
    }
    void name_process(std::uint64_t pid, const std::string& name) { add("M", "process_name", "__metadata", 0, pid, 0, {{"args", {{"name", name}}}}); }
    void name_thread(std::uint64_t pid, std::uint64_t tid, const std::string& name) {
        add("M", "thread_name", "__metadata", 0, pid, tid, {{"args", {{"name", name}}}});
    }

    /// A slice for each stretch of stops for which `key` says the same; nothing where it says nothing.
    template <class Key, class Args>
    void slices(const char* category, std::uint64_t pid, std::uint64_t tid, Key key, Args args) {
        for (std::size_t from = 0; from < moments_.size();) {
            const std::string name = key(moments_[from]);
            std::size_t to = from + 1;
            while (to < moments_.size() && key(moments_[to]) == name) {
                ++to;
            }
            if (!name.empty()) {
                add("X", name, category, ts(from), pid, tid, {{"dur", ts(to) - ts(from)}, {"args", args(moments_[from])}});
            }
            from = to;
        }
    }
    template <class Value>
    void counter(std::uint64_t pid, const std::string& name, Value value) {
        std::optional<std::uint64_t> last;
        for (const Moment& m : moments_) {
            if (const std::uint64_t now = value(m); last != now) {
                add("C", name, "pages", m.stop, pid, 0, {{"args", {{"pages", now}}}});
                last = now;
            }
        }
    }

    void write_cpu(std::size_t cpu) {
        const auto of = [cpu](const Moment& m) -> const MomentCpu& { return m.cpus[cpu]; };
        name_thread(cpus_, cpu + 1, fmt::format("cpu{}", cpu));
        slices("context", cpus_, cpu + 1, [&](const Moment& m) { return std::string(oracle::name_of(of(m).context)); },
               [&](const Moment& m) { return Json{{"thread", of(m).thread}, {"doing", of(m).doing}, {"rip", of(m).symbol}, {"rsp", of(m).stack}}; });
        counter(cpus_, fmt::format("cpu{} cache", cpu), [&](const Moment& m) { return of(m).cache.size(); });
        counter(cpus_, fmt::format("cpu{} reserve", cpu), [&](const Moment& m) { return of(m).reserve.size(); });
    }

    void write_instants(std::size_t i) {
        const Moment& m = moments_[i];
        if (m.kind == "event") {
            add("i", m.cause, "event", m.stop, cpus_, m.cpu + 1, {{"s", "t"}});
        }
        for (const std::string& id : m.violated) {
            add("i", id + " broken", "violation", m.stop, cpus_, m.cpu + 1, {{"s", "p"}, {"args", {{"step", m.step + 1}}}});
        }
        if (m.kind == "ipi") {
            write_flow(i);
        }
    }

    /// From the stop that sends an IPI to the next event on its target.
    void write_flow(std::size_t i) {
        for (std::size_t j = i + 1; j < moments_.size(); ++j) {
            if (moments_[j].kind == "event" && static_cast<std::int32_t>(moments_[j].cpu) == moments_[i].target) {
                const std::uint64_t id = cpus_ << 32 | i;
                add("s", "IPI", "ipi", ts(i), cpus_, moments_[i].cpu + 1, {{"id", id}});
                add("f", "IPI", "ipi", ts(j), cpus_, moments_[j].cpu + 1, {{"id", id}, {"bp", "e"}});
                return;
            }
        }
    }

    void write_thread(const std::string& name) {
        const auto of = [&name](const Moment& m) -> const MomentThread* {
            const auto found = std::find_if(m.threads.begin(), m.threads.end(), [&](const MomentThread& t) { return t.name == name; });
            return found == m.threads.end() ? nullptr : &*found;
        };
        if (of(moments_.back())->kind == "idle") {
            return;
        }
        name_thread(threads_, ++tid_, name);
        slices("state", threads_, tid_, [&](const Moment& m) { return of(m) == nullptr ? std::string() : of(m)->cpu < 0 ? of(m)->state : fmt::format("on cpu{}", of(m)->cpu); },
               [&](const Moment& m) { return Json{{"doing", of(m)->doing}}; });
        counter(threads_, name + " mapped", [&](const Moment& m) {
            return of(m) == nullptr ? 0u : static_cast<std::uint64_t>(std::count_if(of(m)->pages.begin(), of(m)->pages.end(), [](const auto& page) { return (page.pte & 1) != 0; }));
        });
    }

    const ScenarioResult& result_;
    const std::vector<Moment>& moments_;
    std::uint64_t cpus_;
    std::uint64_t threads_;
    std::uint64_t tid_ = 0;
    Json& events_;
};

}  // namespace

std::string perfetto(const RunInfo& info, const std::vector<ScenarioResult>& results) {
    Json events = Json::array();
    std::uint64_t pid = 1;
    for (const ScenarioResult& r : results) {
        if (!r.timeline.moments.empty()) {
            Tracks(r, pid, events).write();
            pid += 2;
        }
    }
    Json trace;
    trace["traceEvents"] = std::move(events);
    trace["displayTimeUnit"] = "ns";
    trace["otherData"] = {{"clock", "one stop of a run is one microsecond"}, {"host", info.host}, {"guest_build", info.guest_build}, {"started", info.started}};
    return trace.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
}

}  // namespace stackrig::report
