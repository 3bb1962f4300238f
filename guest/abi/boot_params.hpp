// What the VMM tells the guest before its first instruction.
#pragma once

#include <cstdint>

#include "guest/abi/entries.hpp"
#include "guest/abi/layout.hpp"
#include "guest/abi/policy.hpp"
#include "guest/abi/program.hpp"

namespace stackrig::abi {

inline constexpr std::uint32_t boot_magic = 0x47525453;  ///< "STRG"
inline constexpr unsigned max_cpus = 4;
inline constexpr unsigned max_threads = 252;  ///< threads a scenario may name
inline constexpr unsigned max_crowd = 16000;  ///< threads without names beside them

enum class Scheme : std::uint32_t { fixed = 0, entry_exit };

enum class ThreadKind : std::uint32_t {
    idle = 0,
    kthread,
    user,
    worker,  ///< cloned like a user thread, but never returns to user mode (PF_USER_WORKER)
};

struct ThreadSpec {
    char name[16];  ///< NUL-terminated
    ThreadKind kind;
    std::uint32_t cpu;
    std::uint32_t op_count;
    std::uint32_t priority;  ///< when it waits for pages: more important ones have higher numbers
    std::uint32_t forked;  ///< 1: not created at boot but by another thread's fork
    Op ops[max_ops];
};

struct BootParams {
    std::uint32_t magic;
    std::uint32_t version;  ///< abi_version of the VMM
    std::uint64_t ram_bytes;
    Scheme scheme;
    std::uint32_t cpus;
    std::uint32_t cache_pages;    ///< initial fill of each CPU's stack page cache
    std::uint32_t reserve_pages;  ///< initial fill of each CPU's reserve (the mail: 3)
    std::uint32_t free_pages;     ///< pages left to the allocator once all threads exist; ~0: all
    std::uint32_t thread_count;
    std::uint32_t depth[entry_count];  ///< bytes of stack each entry's handler uses (0: only its own frames)
    std::uint32_t bail_outs;   ///< bit per Entry: its handler returns before its IRQ-enable site
    std::uint32_t offline;     ///< bit per CPU: present, but not up at the end of boot
    std::uint32_t softirq_depth;  ///< bytes a softirq uses after each device interrupt; 0: none is raised
    std::uint32_t reclaim_depth;  ///< bytes alloc_page(GFP_KERNEL) uses when it has to reclaim
    std::uint32_t crowd;          ///< further user threads, in the address space of the first one
    Policies policies;
    ThreadSpec threads[max_threads];
};

}  // namespace stackrig::abi
