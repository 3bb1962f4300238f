// Vcpu::Entry: the page shared with the kernel and the watchdog's seat; private to vmm/kvm/vcpu*.cpp.
#pragma once

#include <memory>

#include "vmm/kvm/mapping.hpp"
#include "vmm/kvm/uapi.hpp"
#include "vmm/kvm/vcpu.hpp"
#include "vmm/kvm/watchdog.hpp"

namespace stackrig::kvm {

struct Vcpu::Entry final {
    Entry(Mapping run_in, std::shared_ptr<Watchdog> watchdog_in)
        : run(std::move(run_in)), watchdog(std::move(watchdog_in)), seat(shared().immediate_exit) {
        watchdog->add(seat);
    }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    ~Entry() { watchdog->remove(seat); }

    [[nodiscard]] ::kvm_run& shared() const { return *reinterpret_cast<::kvm_run*>(run.bytes().data()); }

    Mapping run;
    std::shared_ptr<Watchdog> watchdog;
    Watchdog::Seat seat;
};

}  // namespace stackrig::kvm
