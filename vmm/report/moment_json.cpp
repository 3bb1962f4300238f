// Moment <-> JSON.
#include "vmm/report/moment_json.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>

namespace stackrig::report {
namespace {

using oracle::Context;
using oracle::Moment;
using oracle::MomentCpu;
using oracle::MomentPage;
using oracle::MomentThread;

std::string hex(std::uint64_t value) { return fmt::format("{:x}", value); }
std::uint64_t unhex(const Json& json) { return std::stoull(json.get_ref<const std::string&>(), nullptr, 16); }

Json cpu_json(const MomentCpu& cpu) {
    return {{"regs", to_json(cpu.regs)}, {"context", oracle::name_of(cpu.context)}, {"symbol", cpu.symbol}, {"stack", cpu.stack},
            {"thread", cpu.thread},      {"doing", cpu.doing},                      {"cache", cpu.cache},   {"reserve", cpu.reserve},
            {"hands", cpu.hands},        {"stale", cpu.stale}};
}

Context context_named(const std::string& name) {
    for (std::size_t i = 0; i < oracle::context_count; ++i) {
        if (name == oracle::name_of(static_cast<Context>(i))) {
            return static_cast<Context>(i);
        }
    }
    throw std::out_of_range("context \"" + name + "\"");
}

MomentCpu cpu_from(const Json& json) {
    MomentCpu cpu{.regs = regs_from_json(json.at("regs")), .context = context_named(json.at("context"))};
    json.at("symbol").get_to(cpu.symbol);
    json.at("stack").get_to(cpu.stack);
    json.at("thread").get_to(cpu.thread);
    json.at("doing").get_to(cpu.doing);
    json.at("cache").get_to(cpu.cache);
    json.at("reserve").get_to(cpu.reserve);
    json.at("hands").get_to(cpu.hands);
    json.at("stale").get_to(cpu.stale);
    return cpu;
}

Json thread_json(const MomentThread& t) {
    Json pages = Json::array();
    for (const MomentPage& page : t.pages) {
        pages.push_back({hex(page.pte), page.owner});
    }
    return {{"name", t.name},   {"kind", t.kind},     {"state", t.state}, {"doing", t.doing}, {"pages", pages}, {"slot", t.slot},
            {"guards", t.guards}, {"depth", t.depth}, {"own", t.on_own_stack}, {"cpu", t.cpu}};
}

MomentThread thread_from(const Json& json) {
    MomentThread t;
    json.at("name").get_to(t.name);
    json.at("kind").get_to(t.kind);
    json.at("state").get_to(t.state);
    json.at("doing").get_to(t.doing);
    for (std::size_t i = 0; i < t.pages.size(); ++i) {
        const Json& page = json.at("pages").at(i);
        t.pages[i] = {unhex(page.at(0)), page.at(1)};
    }
    json.at("slot").get_to(t.slot);
    json.at("guards").get_to(t.guards);
    json.at("depth").get_to(t.depth);
    json.at("own").get_to(t.on_own_stack);
    json.at("cpu").get_to(t.cpu);
    return t;
}

/// Writes each record once. `place`: the CPU or thread it is about; from stop to stop most do not change.
template <class Record>
class Table {
  public:
    explicit Table(Json (*write)(const Record&)) : write_(write) {}
    std::size_t index_of(std::size_t place, const Record& record) {
        last_.resize(std::max(last_.size(), place + 1));
        auto& [before, index] = last_[place];
        if (before == nullptr || !(*before == record)) {
            Json json = write_(record);
            const auto [found, fresh] = known_.try_emplace(json.dump(-1, ' ', false, Json::error_handler_t::replace), records_.size());
            if (fresh) {
                records_.push_back(std::move(json));
            }
            index = found->second;
        }
        before = &record;
        return index;
    }
    [[nodiscard]] Json take() { return std::move(records_); }

  private:
    Json (*write_)(const Record&);
    std::vector<std::pair<const Record*, std::size_t>> last_;
    std::map<std::string, std::size_t> known_;
    Json records_ = Json::array();
};

}  // namespace

Json to_json(const engine::CpuState& r) {
    Json gpr = Json::array();
    for (const std::uint64_t value : r.gpr) {
        gpr.push_back(hex(value));
    }
    return {{"cpu", r.cpu.value()},      {"rip", hex(r.rip.value())}, {"rsp", hex(r.rsp.value())}, {"rflags", hex(r.rflags)},
            {"cs", r.cs},                {"cr2", hex(r.cr2.value())}, {"cr3", hex(r.cr3.value())}, {"gs", hex(r.gs_base.value())},
            {"nmi_masked", r.nmi_masked}, {"gpr", gpr}};
}

engine::CpuState regs_from_json(const Json& json) {
    engine::CpuState r{.cpu = CpuId(json.at("cpu").get<std::uint32_t>()),
                       .rip = Gva(unhex(json.at("rip"))),
                       .rsp = Gva(unhex(json.at("rsp"))),
                       .rflags = unhex(json.at("rflags")),
                       .cs = json.at("cs").get<std::uint16_t>(),
                       .cr2 = Gva(unhex(json.at("cr2"))),
                       .cr3 = Gpa(unhex(json.at("cr3"))),
                       .gs_base = Gva(unhex(json.at("gs"))),
                       .nmi_masked = json.at("nmi_masked").get<bool>()};
    for (std::size_t i = 0; i < r.gpr.size(); ++i) {
        r.gpr[i] = unhex(json.at("gpr").at(i));
    }
    return r;
}

Json to_json(const explore::Timeline& timeline) {
    Table<MomentCpu> cpus(cpu_json);
    Table<MomentThread> threads(thread_json);
    Json moments = Json::array();
    for (const Moment& m : timeline.moments) {
        Json c = Json::array();
        for (std::size_t i = 0; i < m.cpus.size(); ++i) {
            c.push_back(cpus.index_of(i, m.cpus[i]));
        }
        Json t = Json::array();
        for (std::size_t i = 0; i < m.threads.size(); ++i) {
            t.push_back(threads.index_of(i, m.threads[i]));
        }
        moments.push_back({{"stop", m.stop}, {"step", m.step}, {"cpu", m.cpu}, {"kind", m.kind}, {"cause", m.cause}, {"target", m.target}, {"c", c},
                           {"t", t}, {"free", m.free_pages}, {"violated", m.violated}});
    }
    Json out;
    out["left_out"] = timeline.left_out;
    out["cpus"] = cpus.take();
    out["threads"] = threads.take();
    out["moments"] = std::move(moments);
    return out;
}

explore::Timeline timeline_from_json(const Json& json) {
    std::vector<MomentCpu> cpus;
    std::vector<MomentThread> threads;
    std::transform(json.at("cpus").begin(), json.at("cpus").end(), std::back_inserter(cpus), cpu_from);
    std::transform(json.at("threads").begin(), json.at("threads").end(), std::back_inserter(threads), thread_from);
    explore::Timeline timeline{.left_out = json.at("left_out")};
    for (const Json& j : json.at("moments")) {
        Moment m{.stop = j.at("stop"), .step = j.at("step"), .cpu = j.at("cpu"), .kind = j.at("kind"), .cause = j.at("cause"), .target = j.at("target")};
        for (const Json& index : j.at("c")) {
            m.cpus.push_back(cpus.at(index.get<std::size_t>()));
        }
        for (const Json& index : j.at("t")) {
            m.threads.push_back(threads.at(index.get<std::size_t>()));
        }
        j.at("free").get_to(m.free_pages);
        j.at("violated").get_to(m.violated);
        timeline.moments.push_back(std::move(m));
    }
    return timeline;
}

}  // namespace stackrig::report
