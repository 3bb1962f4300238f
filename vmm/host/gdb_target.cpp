// Packets of gdb (its manual, appendix E) on a session of the engine.
#include "vmm/host/gdb_target.hpp"

#include <charconv>
#include <cstring>
#include <fmt/format.h>

#include "vmm/scenario/sentence.hpp"

namespace stackrig::host {
namespace {

constexpr std::uint64_t steps_in_a_slice = 2000;  ///< between two looks at whether gdb wants to stop
constexpr std::size_t most_memory = 4096;         ///< bytes in one packet

std::string hex_bytes(std::span<const std::byte> bytes) {
    std::string out;
    for (const std::byte b : bytes) {
        out += fmt::format("{:02x}", static_cast<unsigned>(b));
    }
    return out;
}

/// A register as gdb wants it: in the guest's byte order.
std::string hex_number(std::uint64_t value, std::size_t bytes) { return hex_bytes(std::as_bytes(std::span(&value, 1)).first(bytes)); }

std::optional<std::uint64_t> number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    return error == std::errc() && end == text.data() + text.size() && !text.empty() ? std::optional(value) : std::nullopt;
}

std::optional<std::vector<std::byte>> bytes_of(std::string_view hex) {
    std::vector<std::byte> out;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
        const auto byte = number(hex.substr(i, 2));
        if (!byte) {
            return std::nullopt;
        }
        out.push_back(static_cast<std::byte>(*byte));
    }
    return hex.size() % 2 == 0 ? std::optional(out) : std::nullopt;
}

/// "ADDRESS,LENGTH".
std::optional<std::pair<std::uint64_t, std::uint64_t>> range(std::string_view text) {
    const std::size_t comma = text.find(',');
    const auto address = number(text.substr(0, comma));
    const auto length = comma == std::string_view::npos ? std::nullopt : number(text.substr(comma + 1));
    return address && length ? std::optional(std::pair(*address, *length)) : std::nullopt;
}

/// General registers in gdb's order for x86-64, RIP last.
constexpr std::uint64_t kvm::Regs::* const general[] = {
    &kvm::Regs::rax, &kvm::Regs::rbx, &kvm::Regs::rcx, &kvm::Regs::rdx, &kvm::Regs::rsi, &kvm::Regs::rdi,
    &kvm::Regs::rbp, &kvm::Regs::rsp, &kvm::Regs::r8,  &kvm::Regs::r9,  &kvm::Regs::r10, &kvm::Regs::r11,
    &kvm::Regs::r12, &kvm::Regs::r13, &kvm::Regs::r14, &kvm::Regs::r15, &kvm::Regs::rip};

const std::string wrong = "E01";

}  // namespace

/// Passes stops to the oracle; once attached, nothing it says ends the run.
class GdbTarget::Observer final : public engine::Observer {
  public:
    explicit Observer(explore::Watch& watch) : watch_(watch) {}
    bool at_stop(const engine::Stop& stop) override { return watch_.at_stop(stop) || attached; }
    bool at_expect(std::size_t predicate, const engine::Stop& stop) override { return watch_.at_expect(predicate, stop) || attached; }
    void at_end(const engine::Stop& stop, engine::Ending ending) override { watch_.at_end(stop, ending); }
    bool attached = false;

  private:
    explore::Watch& watch_;
};

GdbTarget::GdbTarget(const explore::Bench& bench, scenario::Scenario scenario)
    : bench_(bench), scenario_(std::move(scenario)), symbols_(bench.guest), names_(scenario::names_of(scenario_, symbols_)) {}

GdbTarget::~GdbTarget() = default;

Result<std::unique_ptr<GdbTarget>> GdbTarget::start(const explore::Bench& bench, scenario::Scenario scenario, const std::string& place) {
    std::unique_ptr<GdbTarget> target(new GdbTarget(bench, std::move(scenario)));
    STACKRIG_TRY_ASSIGN(const Gpa state, explore::kernel_state(bench.guest));
    const x86::Elf& guest = bench.guest;
    target->watch_ = std::make_unique<explore::Watch>(target->scenario_, target->names_, state, [&guest](Gva at) { return guest.describe(at); });
    target->observer_ = std::make_unique<Observer>(*target->watch_);
    STACKRIG_TRY(target->run_to(place));
    return target;
}

Result<void> GdbTarget::run_to(const std::string& text) {
    const auto place = scenario::parse_place(text, names_);
    if (!place) {
        return tl::make_unexpected(scenario::to_error(place.error()));
    }
    // A violation is where the run ends, but no reason not to come to a place.
    observer_->attached = place->kind != engine::Place::Kind::end;
    STACKRIG_TRY_ASSIGN(session_, engine::Session::create(bench_.system, bench_.guest, scenario_.plan, *observer_, {.look_at = *place}));
    for (;;) {
        STACKRIG_TRY_ASSIGN(const bool ready, session_->poise());
        if (!ready) {
            break;
        }
        STACKRIG_TRY(session_->go());
    }
    engine::Session::State state = session_->state();
    if (state.outcome.end != engine::RunEnd::looked && place->kind != engine::Place::Kind::end) {
        return fail(ErrorKind::usage, fmt::format("\"{}\" was not reached: the run ended after {} stops{}{}. The place \"end\" stands where it did", text, state.outcome.stops,
                                                  state.outcome.detail.empty() ? "" : ": ", state.outcome.detail));
    }
    // Looking ended the run; gdb may go on with it.
    state.over = false;
    state.outcome.end = engine::RunEnd::finished;
    STACKRIG_TRY(session_->restore(state));
    observer_->attached = true;
    told_ = watch_->violations().size();  // the picture has them
    selected_ = state.active;
    return {};
}

std::string GdbTarget::take_news() {
    std::string news;
    for (; told_ < watch_->violations().size(); ++told_) {
        const explore::ViolationReport& violation = watch_->violations()[told_];
        news += fmt::format("{} at stop {}, {}: {}\n", violation.id, violation.stop, violation.where, violation.text);
    }
    return news;
}

std::string GdbTarget::picture() const { return watch_->picture({}, true); }

std::string GdbTarget::stop_reply(const std::string& why) const {
    return fmt::format("T05thread:{:x};{}", session_->state().active.value() + 1, why);
}

Result<std::string> GdbTarget::registers(CpuId cpu) {
    STACKRIG_TRY_ASSIGN(const kvm::Regs regs, session_->machine().vcpu(cpu).regs());
    STACKRIG_TRY_ASSIGN(const kvm::Sregs sregs, session_->machine().vcpu(cpu).sregs());
    std::string out;
    for (const auto reg : general) {
        out += hex_number(regs.*reg, 8);
    }
    out += hex_number(regs.rflags, 4);
    for (const kvm::Segment* segment : {&sregs.cs, &sregs.ss, &sregs.ds, &sregs.es, &sregs.fs, &sregs.gs}) {
        out += hex_number(segment->selector, 4);
    }
    // x87 and SSE: the guest has none.
    return out + std::string(2 * (8 * 10 + 8 * 4 + 16 * 16 + 4), 'x');
}

Result<std::string> GdbTarget::write_register(const std::string& arguments) {
    const std::size_t equals = arguments.find('=');
    const auto index = number(std::string_view(arguments).substr(0, equals));
    const auto bytes = equals == std::string::npos ? std::nullopt : bytes_of(std::string_view(arguments).substr(equals + 1));
    if (!index || !bytes || bytes->size() > 8 || *index > std::size(general)) {
        return wrong;
    }
    std::uint64_t value = 0;
    std::memcpy(&value, bytes->data(), bytes->size());
    STACKRIG_TRY_ASSIGN(kvm::Regs regs, session_->machine().vcpu(selected_).regs());
    (*index == std::size(general) ? regs.rflags : regs.*general[*index]) = value;
    STACKRIG_TRY(session_->machine().vcpu(selected_).set_regs(regs));
    return std::string("OK");
}

Result<std::string> GdbTarget::read_memory(const std::string& arguments) {
    const auto where = range(arguments);
    if (!where) {
        return wrong;
    }
    std::vector<std::byte> bytes(std::min<std::size_t>(where->second, most_memory));
    STACKRIG_TRY_ASSIGN(const machine::AddressSpace space, session_->machine().address_space(selected_));
    bytes.resize(space.read_some(Gva(where->first), bytes));
    return bytes.empty() ? wrong : hex_bytes(bytes);
}

Result<std::string> GdbTarget::write_memory(const std::string& arguments) {
    const std::size_t colon = arguments.find(':');
    const auto where = range(std::string_view(arguments).substr(0, colon));
    const auto bytes = colon == std::string::npos ? std::nullopt : bytes_of(std::string_view(arguments).substr(colon + 1));
    if (!where || !bytes || bytes->size() != where->second) {
        return wrong;
    }
    STACKRIG_TRY_ASSIGN(const machine::AddressSpace space, session_->machine().address_space(selected_));
    return space.write(session_->machine().memory(), Gva(where->first), std::span<const std::byte>(*bytes)) ? "OK" : wrong;
}

/// Z and z: 0 and 1 break, 2 watches for writes.
std::string GdbTarget::point(const std::string& packet) {
    const auto where = range(packet.size() > 3 ? std::string_view(packet).substr(3) : std::string_view());
    if (!where || packet[2] != ',' || packet[1] < '0' || packet[1] > '2') {
        return "";  // not supported
    }
    const bool set = packet[0] == 'Z';
    if (packet[1] == '2') {
        set ? (void)(watched_[where->first].length = where->second) : (void)watched_.erase(where->first);
    } else {
        set ? (void)breakpoints_.insert(where->first) : (void)breakpoints_.erase(where->first);
    }
    return "OK";
}

Result<void> GdbTarget::refresh_watched() {
    STACKRIG_TRY_ASSIGN(const machine::AddressSpace space, session_->machine().address_space(session_->state().active));
    for (auto& [address, watched] : watched_) {
        watched.bytes.resize(watched.length);
        watched.bytes.resize(space.read_some(Gva(address), watched.bytes));
    }
    return {};
}

/// Whether the boundary the guest has come to is one that gdb waits for.
Result<std::optional<std::string>> GdbTarget::stopped() {
    const CpuId active = session_->state().active;
    STACKRIG_TRY_ASSIGN(const kvm::Regs regs, session_->machine().vcpu(active).regs());
    if (breakpoints_.contains(regs.rip)) {
        return std::optional(stop_reply());
    }
    const auto before = watched_;
    if (!before.empty()) {
        STACKRIG_TRY(refresh_watched());
        for (const auto& [address, watched] : watched_) {
            if (watched.bytes != before.at(address).bytes) {
                return std::optional(stop_reply(fmt::format("watch:{:x};", address)));
            }
        }
    }
    return std::optional<std::string>();
}

Result<std::optional<std::string>> GdbTarget::resume(std::uint64_t steps) {
    for (std::uint64_t i = 0; i < steps; ++i) {
        STACKRIG_TRY_ASSIGN(const bool ready, session_->poise());
        if (!ready) {
            running_ = false;
            return std::optional<std::string>(watch_->violations().empty() ? "W00" : "W01");  // the schedule is carried out
        }
        STACKRIG_TRY(session_->step());
        STACKRIG_TRY_ASSIGN(auto reply, stopped());
        if (!reply && watch_->violations().size() > told_) {
            reply = stop_reply();
        }
        if (reply) {
            running_ = false;
            selected_ = session_->state().active;
            return reply;
        }
    }
    return std::optional<std::string>();
}

Result<std::string> GdbTarget::query(const std::string& packet) {
    if (packet.starts_with("qSupported")) {
        return fmt::format("PacketSize={:x}", 2 * most_memory + 64);
    }
    if (packet == "qAttached") {
        return std::string("1");
    }
    if (packet == "qC") {
        return fmt::format("QC{:x}", selected_.value() + 1);
    }
    if (packet == "qfThreadInfo") {
        std::string out = "m";
        for (std::uint32_t cpu = 0; cpu < session_->machine().cpus(); ++cpu) {
            out += fmt::format("{}{:x}", cpu == 0 ? "" : ",", cpu + 1);
        }
        return out;
    }
    if (packet == "qsThreadInfo") {
        return std::string("l");
    }
    if (packet.starts_with("qThreadExtraInfo,")) {
        const auto cpu = number(std::string_view(packet).substr(17));
        const std::string name = fmt::format("cpu{}", cpu.value_or(1) - 1);
        return hex_bytes(std::as_bytes(std::span(name)));
    }
    if (packet.starts_with("qRcmd,")) {  // `monitor`: anything draws the picture
        const std::string text = picture();
        return hex_bytes(std::as_bytes(std::span(text)));
    }
    return std::string();
}

Result<std::optional<std::string>> GdbTarget::handle(const std::string& packet) {
    const auto answer = [](Result<std::string> reply) -> Result<std::optional<std::string>> {
        return reply ? Result<std::optional<std::string>>(std::move(*reply)) : tl::make_unexpected(reply.error());
    };
    if (packet == "\x03") {
        running_ = false;
        return std::optional(fmt::format("T02thread:{:x};", session_->state().active.value() + 1));
    }
    if (packet.empty()) {
        return running_ ? resume(steps_in_a_slice) : Result<std::optional<std::string>>(std::optional<std::string>(""));
    }
    const std::string rest = packet.substr(1);
    switch (packet[0]) {
        case '?': return std::optional(stop_reply());
        case 'g': return answer(registers(selected_));
        case 'P': return answer(write_register(rest));
        case 'm': return answer(read_memory(rest));
        case 'M': return answer(write_memory(rest));
        case 'Z':
        case 'z': return std::optional(point(packet));
        case 'q': return answer(query(packet));
        case 'D': return std::optional<std::string>("OK");
        case 'H':
        case 'T': {
            const auto thread = number(rest.starts_with("g") || rest.starts_with("c") ? rest.substr(1) : rest);
            const bool known = thread && *thread > 0 && *thread <= session_->machine().cpus();
            if (known && rest.starts_with("g")) {
                selected_ = CpuId(static_cast<std::uint32_t>(*thread - 1));
            }
            return std::optional<std::string>(known || rest == "c-1" || rest == "g0" || rest == "c0" ? "OK" : wrong);
        }
        case 's': {
            STACKRIG_TRY_ASSIGN(auto reply, resume(1));
            selected_ = session_->state().active;
            return reply ? std::move(reply) : std::optional(stop_reply());
        }
        case 'c':
            STACKRIG_TRY(refresh_watched());
            running_ = true;
            return std::optional<std::string>();
        default: return std::optional<std::string>("");  // not supported
    }
}

}  // namespace stackrig::host
