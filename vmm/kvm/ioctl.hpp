// ioctl: the typed way to issue a KVM ioctl; private to vmm/kvm/*.cpp.
#pragma once

#include <sys/ioctl.h>

#include <cerrno>
#include <cstddef>
#include <string_view>

#include "vmm/base/result.hpp"
#include "vmm/kvm/fd.hpp"

namespace stackrig::kvm {

/// A request with its name for messages and the struct it carries. Passing another struct does not compile.
template <class Arg>
struct Ioctl {
    unsigned long number;
    std::string_view name;

    consteval Ioctl(unsigned long number_in, std::string_view name_in) : number(number_in), name(name_in) {
        // Not _IOC_SIZE(number) == sizeof(Arg) for requests without an argument struct: those are IoctlValue.
        if (_IOC_SIZE(number) != sizeof(Arg)) {
            throw "the struct is not the one of this ioctl";
        }
    }
};

/// A request whose argument, if any, is a plain number.
struct IoctlValue {
    unsigned long number;
    std::string_view name;
};

#define STACKRIG_IOCTL(type, request) (::stackrig::kvm::Ioctl<type>{(request), #request})
#define STACKRIG_IOCTL_VALUE(request) (::stackrig::kvm::IoctlValue{(request), #request})

/// The ioctl's return value, or its errno with its name. `context` is only for the message.
template <class Arg>
[[nodiscard]] Result<int> call(const Fd& fd, Ioctl<Arg> request, Arg* arg, std::string_view context = {}) {
    const int value = ::ioctl(fd.get(), request.number, arg);
    if (value < 0) {
        return fail_errno(ErrorKind::rig, request.name, errno, context);
    }
    return value;
}

template <class Arg>
[[nodiscard]] Result<int> call(const Fd& fd, Ioctl<Arg> request, const Arg& arg,
                               std::string_view context = {}) {
    return call(fd, request, const_cast<Arg*>(&arg), context);  // the kernel only reads it
}

[[nodiscard]] inline Result<int> call(const Fd& fd, IoctlValue request, unsigned long value = 0,
                                      std::string_view context = {}) {
    const int result = ::ioctl(fd.get(), request.number, value);
    if (result < 0) {
        return fail_errno(ErrorKind::rig, request.name, errno, context);
    }
    return result;
}

}  // namespace stackrig::kvm
