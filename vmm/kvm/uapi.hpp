// uapi: the only includer of linux/kvm.h; private to vmm/kvm/*.cpp and the tripwire test.
//
// __DECLARE_FLEX_ARRAY of linux/stddef.h puts an empty struct before the array. It has size 1 in C++, so the
// structs grow and the ioctl NUMBERS derived from their sizes change (KVM_SET_MSRS becomes 4010ae89 instead
// of 4008ae89). Defining it away before kvm.h is read cures that; the asserts below prove it.
#pragma once

#include <linux/stddef.h>
#undef __DECLARE_FLEX_ARRAY
#define __DECLARE_FLEX_ARRAY(T, N) T N[]
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#include <linux/kvm.h>
#pragma GCC diagnostic pop

namespace stackrig::kvm {

// Tripwire. These are the kernel's ABI: a failing line means the headers are broken here, never that the
// number wants an update.
static_assert(sizeof(kvm_msrs) == 8);
static_assert(sizeof(kvm_msr_list) == 4);
static_assert(sizeof(kvm_cpuid2) == 8);
static_assert(sizeof(kvm_signal_mask) == 4);
static_assert(sizeof(kvm_xsave) == 4096);
static_assert(sizeof(kvm_run) == 2352);

static_assert(KVM_API_VERSION == 12);
static_assert(KVM_GET_API_VERSION == 0xae00);
static_assert(KVM_CREATE_VM == 0xae01);
static_assert(KVM_GET_MSR_INDEX_LIST == 0xc004ae02);
static_assert(KVM_CHECK_EXTENSION == 0xae03);
static_assert(KVM_GET_VCPU_MMAP_SIZE == 0xae04);
static_assert(KVM_GET_SUPPORTED_CPUID == 0xc008ae05);
static_assert(KVM_CREATE_VCPU == 0xae41);
static_assert(KVM_GET_DIRTY_LOG == 0x4010ae42);
static_assert(KVM_SET_USER_MEMORY_REGION == 0x4020ae46);
static_assert(KVM_SET_TSS_ADDR == 0xae47);
static_assert(KVM_SET_IDENTITY_MAP_ADDR == 0x4008ae48);
static_assert(KVM_RUN == 0xae80);
static_assert(KVM_GET_REGS == 0x8090ae81);
static_assert(KVM_SET_REGS == 0x4090ae82);
static_assert(KVM_GET_SREGS == 0x8138ae83);
static_assert(KVM_SET_SREGS == 0x4138ae84);
static_assert(KVM_TRANSLATE == 0xc018ae85);
static_assert(KVM_INTERRUPT == 0x4004ae86);
static_assert(KVM_GET_MSRS == 0xc008ae88);
static_assert(KVM_SET_MSRS == 0x4008ae89);
static_assert(KVM_GET_FPU == 0x81a0ae8c);
static_assert(KVM_SET_FPU == 0x41a0ae8d);
static_assert(KVM_SET_CPUID2 == 0x4008ae90);
static_assert(KVM_NMI == 0xae9a);
static_assert(KVM_SET_GUEST_DEBUG == 0x4048ae9b);
static_assert(KVM_X86_SETUP_MCE == 0x4008ae9c);
static_assert(KVM_ENABLE_CAP == 0x4068aea3);
static_assert(KVM_X86_GET_MCE_CAP_SUPPORTED == 0x8008ae9d);
static_assert(KVM_X86_SET_MCE == 0x4040ae9e);
static_assert(KVM_GET_VCPU_EVENTS == 0x8040ae9f);
static_assert(KVM_SET_VCPU_EVENTS == 0x4040aea0);
static_assert(KVM_GET_DEBUGREGS == 0x8080aea1);
static_assert(KVM_SET_DEBUGREGS == 0x4080aea2);
static_assert(KVM_GET_TSC_KHZ == 0xaea3);
static_assert(KVM_GET_XSAVE == 0x9000aea4);
static_assert(KVM_SET_XSAVE == 0x5000aea5);

}  // namespace stackrig::kvm
