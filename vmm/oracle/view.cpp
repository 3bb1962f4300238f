// Reading a stop: structures first, then the page tables, then the frames they name. Nothing is taken on
// trust.
#include "vmm/oracle/view.hpp"

#include <algorithm>

#include "vmm/base/bytes.hpp"

namespace stackrig::oracle {
namespace {

/// Named threads, the crowd, and for each CPU an idle thread and a helper of the scheme's own.
constexpr std::uint32_t max_thread_count = abi::max_threads + abi::max_crowd + 2 * abi::max_cpus;
static_assert(max_thread_count <= abi::max_slots);
constexpr std::uint64_t root_mask = 0x000ffffffffff000;  // CR3 without PCID and the PWT/PCD bits

template <class T>
bool read_array(const PhysMemory& memory, Gpa from, std::uint32_t count, std::vector<T>& into) {
    into.resize(count);
    return memory.read(from, std::as_writable_bytes(std::span(into)));
}

/// In place: the structures are large, and there are some to read at each stop.
template <class T>
bool read_into(const PhysMemory& memory, Gpa from, T& into) {
    static_assert(std::is_trivially_copyable_v<T>);
    return memory.read(from, std::as_writable_bytes(std::span(&into, 1)));
}

/// FNV-1a over words; never 0, which stands for "no list seen yet".
std::uint64_t fingerprint(const std::vector<abi::Frame>& frames, std::uint32_t free_head) {
    std::uint64_t hash = 0xcbf29ce484222325 ^ free_head;
    for (const abi::Frame& frame : frames) {
        hash = (hash ^ (static_cast<std::uint64_t>(frame.use) << 32 | frame.next)) * 0x100000001b3;
    }
    return hash | 1;
}

}  // namespace

std::string_view name_of(const View& view, ThreadId t) {
    if (t.value() >= view.threads.size()) {
        return "?";
    }
    const char* name = view.threads[t.value()].name;
    std::size_t length = 0;
    while (length < sizeof(abi::Thread::name) - 1 && name[length] > ' ' && name[length] < 0x7f) {
        ++length;
    }
    return length == 0 ? std::string_view("?") : std::string_view(name, length);
}

void ViewReader::complain(BadValue::Kind kind, std::string_view what, std::uint32_t index,
                          std::uint64_t value) {
    bad_.push_back({kind, what, index, value});
}

const View& ViewReader::read(const engine::Stop& stop) {
    view_ = {};
    view_.stop = &stop;
    view_.stop_index = stop.index;
    view_.stop_cpu = stop.cpu;
    view_.cause = stop.cause;
    bad_.clear();
    view_.readable = read_into(stop.memory, kernel_state_, view_.kernel) && view_.kernel.magic == abi::boot_magic &&
                     view_.kernel.version == abi::abi_version;
    if (view_.readable) {
        read_threads();
        read_slots();
        assign_slots();
        read_frames();
        read_cpus();
        book_frames();
    } else {
        view_.kernel = {};
    }
    view_.threads = threads_;
    view_.slots = slots_;
    view_.cpus = cpus_;
    view_.bad = bad_;
    view_.frames = &book_;
    return view_;
}

void ViewReader::read_threads() {
    const std::uint32_t count = view_.kernel.thread_count;
    if (count > max_thread_count) {
        threads_.clear();
        complain(BadValue::Kind::pointer, "KernelState::thread_count", 0, count);
        return;
    }
    const auto at = gpa_of(view_.kernel.threads, count * sizeof(abi::Thread), alignof(abi::Thread), ram());
    if (!at || !read_array(view_.stop->memory, *at, count, threads_)) {
        threads_.clear();
        complain(BadValue::Kind::pointer, "KernelState::threads", 0, view_.kernel.threads);
    }
}

void ViewReader::read_slots() {
    std::uint32_t count = view_.kernel.slot_count;
    if (count > abi::max_slots) {
        complain(BadValue::Kind::pointer, "KernelState::slot_count", 0, count);
        count = 0;
    }
    tables_.read(view_.stop->memory, Gpa(view_.kernel.kernel_cr3 & root_mask), count);
    slots_.resize(count);
    for (std::uint32_t slot = 0; slot < count; ++slot) {
        SlotView& seen = slots_[slot];
        seen = {};
        seen.has_table = tables_.has_table(slot);
        const std::array<Pte, 8> entries = tables_.entries_of(slot);
        for (unsigned i = 0; i < abi::stack_pages; ++i) {
            seen.page[i] = entries[7 - i];
            seen.guard[i] = entries[3 - i];
            seen.mapped = static_cast<std::uint8_t>(seen.mapped | (seen.page[i].present() ? 1u << i : 0u));
            seen.guards = static_cast<std::uint8_t>(seen.guards | (seen.guard[i].present() ? 1u << i : 0u));
        }
    }
}

void ViewReader::assign_slots() {
    for (std::uint32_t id = 0; id < threads_.size(); ++id) {
        const abi::Thread& t = threads_[id];
        if (t.state == abi::ThreadState::unused) {
            continue;
        }
        if (t.slot >= slots_.size()) {
            complain(BadValue::Kind::pointer, "Thread::slot", id, t.slot);
            continue;
        }
        SlotView& slot = slots_[t.slot];
        (slot.owner ? slot.rival : slot.owner) = ThreadId(id);
    }
}

void ViewReader::read_frames() {
    const std::uint32_t count = view_.kernel.frame_count;
    book_.begin(std::min(count, static_cast<std::uint32_t>(frames_.size())));
    // The table is the largest thing to read. Between two instructions labels are not judged, so it has to be
    // read there only if the free list has moved.
    const bool unjudged = engine::between_instructions(view_.stop->cause) && !std::holds_alternative<engine::PlaceStop>(view_.stop->cause);
    const bool moved = view_.kernel.frames != frames_pointer_ || frames_.size() != count;
    if (!unjudged || moved || view_.kernel.free_head != free_head_before_) {
        frames_pointer_ = view_.kernel.frames;
        reread_frames(count);
    }
    if (free_list_broken_) {
        complain(BadValue::Kind::free_list, "free list", static_cast<std::uint32_t>(free_.size()),
                 free_bad_link_);
    }
    view_.stack_frames = stack_frames_;
    view_.uses = uses_;
    view_.free_list = free_;
    view_.free_fingerprint = free_fingerprint_;
    view_.free_list_broken = free_list_broken_;
    view_.free_labelled = free_labelled_;
    view_.kernel_labelled = kernel_labelled_;
}

void ViewReader::reread_frames(std::uint32_t count) {
    const auto at = count <= ram() / abi::page_bytes
                        ? gpa_of(view_.kernel.frames, count * sizeof(abi::Frame), alignof(abi::Frame), ram())
                        : std::nullopt;
    const bool same_list = view_.kernel.free_head == free_head_before_;
    const auto there = at ? view_.stop->memory.in_place(*at, count * sizeof(abi::Frame)) : std::nullopt;
    if (there && same_list && same_bytes(*there, std::as_bytes(std::span(frames_)))) {
        return;  // most stops; a comparison costs less than a copy
    }
    frames_.swap(frames_before_);
    if (!at || !read_array(view_.stop->memory, *at, count, frames_)) {
        frames_.clear();
        complain(BadValue::Kind::pointer, "KernelState::frames", count, view_.kernel.frames);
    }
    book_.begin(static_cast<std::uint32_t>(frames_.size()));
    // Walking some thousand links at each stop would cost more than all the rest; most stops change none of
    // them.
    if (!same_list || !same_bytes(std::as_bytes(std::span(frames_)), std::as_bytes(std::span(frames_before_)))) {
        walk_free_list();
    }
}

void ViewReader::walk_free_list() {
    free_fingerprint_ = fingerprint(frames_, view_.kernel.free_head);
    free_head_before_ = view_.kernel.free_head;
    free_.clear();
    stack_frames_.clear();
    uses_.resize(frames_.size());
    free_labelled_ = 0;
    kernel_labelled_ = 0;
    for (std::uint32_t i = 0; i < frames_.size(); ++i) {
        uses_[i] = static_cast<std::uint8_t>(frames_[i].use);
        free_labelled_ += frames_[i].use == abi::FrameUse::free ? 1 : 0;
        kernel_labelled_ += frames_[i].use == abi::FrameUse::kernel ? 1 : 0;
        if (frames_[i].use == abi::FrameUse::stack) {
            stack_frames_.push_back(Pfn(i));
        }
    }
    free_list_broken_ = false;
    std::uint32_t link = view_.kernel.free_head;
    while (link != abi::no_pfn) {
        // More links than frames: some frame came twice.
        if (link >= frames_.size() || free_.size() >= frames_.size()) {
            free_list_broken_ = true;
            free_bad_link_ = link;
            break;
        }
        free_.push_back(Pfn(link));
        link = frames_[link].next;
    }
    book_.set_free(free_);
}

std::optional<ThreadId> ViewReader::thread_at(std::uint64_t pointer) const {
    const std::uint64_t offset = pointer - view_.kernel.threads;
    if (pointer < view_.kernel.threads || offset % sizeof(abi::Thread) != 0 ||
        offset / sizeof(abi::Thread) >= threads_.size()) {
        return std::nullopt;
    }
    return ThreadId(static_cast<std::uint32_t>(offset / sizeof(abi::Thread)));
}

std::optional<ThreadId> ViewReader::thread_by_root(Gpa cr3, std::optional<ThreadId> current) const {
    const std::uint64_t root = cr3.value() & root_mask;
    if (current && threads_[current->value()].shares_mm != 0 && threads_[current->value()].cr3 == root) {
        return current;  // one root for many: only the guest knows which of them it is
    }
    for (std::uint32_t id = 0; id < threads_.size(); ++id) {
        const abi::Thread& t = threads_[id];
        if (t.state != abi::ThreadState::unused && t.kind == abi::ThreadKind::user && t.cr3 == root) {
            return ThreadId(id);
        }
    }
    return std::nullopt;
}

void ViewReader::read_cpus() {
    const auto count = static_cast<std::uint32_t>(view_.stop->cpus.size());
    cpus_.resize(count);
    last_running_.resize(count);
    for (std::uint32_t i = 0; i < count; ++i) {
        read_cpu(i);
    }
}

void ViewReader::read_cpu(std::uint32_t index) {
    CpuView& cpu = cpus_[index];
    cpu.regs = view_.stop->cpus[index];
    cpu.readable = false;
    cpu.online = false;
    cpu.running.reset();
    cpu.current.reset();
    cpu.rsp = locate(cpu.regs.rsp);
    cpu.own_tables = !tables_.same_under(view_.stop->memory, Gpa(cpu.regs.cr3.value() & root_mask));
    if (index < view_.kernel.cpus && index < abi::max_cpus) {
        const std::uint64_t pointer = view_.kernel.percpu[index];
        const auto at = gpa_of(pointer, sizeof(abi::PerCpu), alignof(abi::PerCpu), ram());
        cpu.readable = at && read_into(view_.stop->memory, *at, cpu.belief);
        if (cpu.readable) {
            cpu.online = cpu.belief.idle != 0 && cpu.belief.online != 0;
            cpu.current = thread_at(cpu.belief.current);
            if (cpu.online && !cpu.current) {
                complain(BadValue::Kind::pointer, "PerCpu::current", index, cpu.belief.current);
            }
            if (cpu.online && !thread_at(cpu.belief.idle)) {
                complain(BadValue::Kind::pointer, "PerCpu::idle", index, cpu.belief.idle);
            }
        } else {
            complain(BadValue::Kind::pointer, "KernelState::percpu", index, pointer);
        }
    }
    if (!cpu.readable) {
        cpu.belief = {};
    }
    find_running(cpu, index);
}

void ViewReader::find_running(CpuView& cpu, std::uint32_t index) {
    using Where = StackPointer::Where;
    const bool on_thread_stack = cpu.rsp.where == Where::thread_stack || cpu.rsp.where == Where::guard;
    if (!cpu.regs.user_mode() && on_thread_stack) {
        // The switch loads CR3 before RSP: on a thread stack it is RSP that says who runs.
        if (cpu.rsp.slot.value() < slots_.size()) {
            cpu.running = slots_[cpu.rsp.slot.value()].owner;
        }
    } else if (cpu.regs.user_mode() || cpu.rsp.where == Where::user || !last_running_[index]) {
        cpu.running = thread_by_root(cpu.regs.cr3, cpu.current);
    } else {
        cpu.running = last_running_[index];  // IST, IRQ or trampoline stack: whoever ran when it was entered
    }
    if (cpu.running) {
        last_running_[index] = cpu.running;
    }
}

void ViewReader::book_stash(const abi::FrameStash& stash, Place place, std::string_view what) {
    std::uint32_t count = stash.count;
    if (count > abi::stash_capacity) {
        complain(BadValue::Kind::stash, what, place.owner, count);
        count = abi::stash_capacity;
    }
    for (std::uint32_t i = 0; i < count; ++i) {
        if (!book_.put(Pfn(stash.pfn[i]), place)) {
            complain(BadValue::Kind::stash, what, place.owner, stash.pfn[i]);
        }
    }
}

void ViewReader::book_frames() {
    for (std::uint32_t slot = 0; slot < slots_.size(); ++slot) {
        for (unsigned i = 0; i < abi::stack_pages && slots_[slot].mapped != 0; ++i) {
            const Pte pte = slots_[slot].page[i];
            const Place place{PlaceKind::stack_page, static_cast<std::uint8_t>(i),
                              static_cast<std::uint16_t>(slot)};
            if (pte.present() && (pte.frame_number() >= frames_.size() || !book_.put(pte.frame(), place))) {
                complain(BadValue::Kind::pte_frame, "stack PTE", slot, pte.raw);
            }
        }
    }
    for (std::uint32_t i = 0; i < cpus_.size(); ++i) {
        const auto owner = static_cast<std::uint16_t>(i);
        if (cpus_[i].readable) {
            book_stash(cpus_[i].belief.cache, {PlaceKind::cache, 0, owner}, "PerCpu::cache");
            book_stash(cpus_[i].belief.reserve, {PlaceKind::reserve, 0, owner}, "PerCpu::reserve");
            book_stash(cpus_[i].belief.hands, {PlaceKind::hands, 0, owner}, "PerCpu::hands");
        }
    }
    book_stash(view_.kernel.pool, {PlaceKind::pool, 0, 0}, "KernelState::pool");
    for (std::uint32_t id = 0; id < threads_.size(); ++id) {
        const abi::Thread& t = threads_[id];
        if (t.state == abi::ThreadState::unused) {
            continue;
        }
        if (t.granted > abi::extra_pages) {
            complain(BadValue::Kind::stash, "Thread::grant", id, t.granted);
            continue;
        }
        for (std::uint32_t i = 0; i < t.granted; ++i) {
            if (!book_.put(Pfn(t.grant[i]), {PlaceKind::grant, 0, static_cast<std::uint16_t>(id)})) {
                complain(BadValue::Kind::stash, "Thread::grant", id, t.grant[i]);
            }
        }
        if (t.hogged_count > std::size(t.hogged)) {
            complain(BadValue::Kind::stash, "Thread::hogged", id, t.hogged_count);
            continue;
        }
        for (std::uint32_t i = 0; i < t.hogged_count; ++i) {
            if (!book_.put(Pfn(t.hogged[i]), {PlaceKind::hogged, 0, static_cast<std::uint16_t>(id)})) {
                complain(BadValue::Kind::stash, "Thread::hogged", id, t.hogged[i]);
            }
        }
    }
}

}  // namespace stackrig::oracle
