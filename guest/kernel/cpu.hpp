// The CPU: control registers, IRQ flag, MSRs, per-CPU area, and its descriptor tables.
#pragma once

#include "guest/kernel/types.hpp"

namespace guest {

inline constexpr u64 rflags_tf = 1u << 8;
inline constexpr u64 rflags_if = 1u << 9;

inline void local_irq_enable() { asm volatile("sti" : : : "memory"); }
inline void local_irq_disable() { asm volatile("cli" : : : "memory"); }
inline u64 read_rflags() {
    u64 flags;
    asm volatile("pushfq; popq %0" : "=r"(flags) : : "memory");
    return flags;
}
inline bool irqs_disabled() { return (read_rflags() & rflags_if) == 0; }

/// local_irq_save() and local_irq_restore() as a scope.
class IrqSave {
  public:
    IrqSave() : enabled_(!irqs_disabled()) { local_irq_disable(); }
    ~IrqSave() {
        if (enabled_) {
            local_irq_enable();
        }
    }
    IrqSave(const IrqSave&) = delete;
    IrqSave& operator=(const IrqSave&) = delete;

  private:
    bool enabled_;
};

inline u64 read_cr2() {
    u64 value;
    asm volatile("movq %%cr2, %0" : "=r"(value));
    return value;
}
inline u64 read_cr3() {
    u64 value;
    asm volatile("movq %%cr3, %0" : "=r"(value));
    return value;
}
inline u64 read_cr4() {
    u64 value;
    asm volatile("movq %%cr4, %0" : "=r"(value));
    return value;
}
inline void write_cr4(u64 value) { asm volatile("movq %0, %%cr4" : : "r"(value) : "memory"); }
inline void write_cr3(u64 value) { asm volatile("movq %0, %%cr3" : : "r"(value) : "memory"); }
inline void invlpg(u64 va) { asm volatile("invlpg (%0)" : : "r"(va) : "memory"); }
inline void write_dr6(u64 value) { asm volatile("movq %0, %%dr6" : : "r"(value)); }

inline void wrmsr(u32 msr, u64 value) {
    asm volatile("wrmsr" : : "c"(msr), "a"(static_cast<u32>(value)), "d"(static_cast<u32>(value >> 32)) : "memory");
}

inline PerCpu* this_cpu() {
    PerCpu* self;
    asm volatile("movq %%gs:0, %0" : "=r"(self));
    return self;
}
inline Thread* current() { return this_cpu()->current; }

/// Loads GDT, TSS, IDT, GS and the SYSCALL MSRs of CPU `cpu`.
void cpu_init(u32 cpu);

}  // namespace guest
