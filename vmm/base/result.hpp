// Result<T> and Error: the one way a layer below cli/ reports that something did not work.
#pragma once

#include <cerrno>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace stackrig {

/// Who has to act on an error. cli/ maps this to the process exit code.
enum class ErrorKind {
    usage,  ///< the user's input: command line or scenario (exit 2)
    host,   ///< the host lacks something or refused it: /dev/kvm, packages, QEMU (exit 3)
    guest,  ///< the guest did something no guest may do: triple fault, silence, foreign ELF (exit 1 or 3)
    rig,    ///< a defect of the rig itself (exit 3)
};

/// What happened, where, and (last sentence) what to do about it. `text` is one or more full sentences.
struct Error {
    ErrorKind kind = ErrorKind::rig;
    std::string text;
};

template <class T>
using Result = tl::expected<T, Error>;

using Unexpected = tl::unexpected<Error>;

/// `return fail(ErrorKind::host, "...")`.
[[nodiscard]] inline Unexpected fail(ErrorKind kind, std::string text) {
    return Unexpected(Error{kind, std::move(text)});
}

/// "EINVAL (Invalid argument)" for an errno value; "errno 4711" when unknown.
[[nodiscard]] std::string errno_text(int err);

/// Failure of a system call or ioctl: "KVM_SET_REGS: EINVAL (Invalid argument)" plus optional context.
[[nodiscard]] Unexpected fail_errno(ErrorKind kind, std::string_view call, int err = errno,
                                    std::string_view context = {});

}  // namespace stackrig

/// Propagate a failing Result<...> expression out of a function that returns Result<...>.
#define STACKRIG_TRY(expr)                                        \
    do {                                                          \
        if (auto stackrig_try = (expr); !stackrig_try) {          \
            return tl::make_unexpected(stackrig_try.error());     \
        }                                                         \
    } while (false)

/// `STACKRIG_TRY_ASSIGN(auto x, f());` binds the value or propagates the error.
#define STACKRIG_TRY_CAT2(a, b) a##b
#define STACKRIG_TRY_CAT(a, b) STACKRIG_TRY_CAT2(a, b)
#define STACKRIG_TRY_ASSIGN(decl, expr) STACKRIG_TRY_ASSIGN_(decl, expr, STACKRIG_TRY_CAT(stackrig_tmp_, __LINE__))
#define STACKRIG_TRY_ASSIGN_(decl, expr, tmp)         \
    auto tmp = (expr);                                \
    if (!tmp) {                                       \
        return tl::make_unexpected(tmp.error());      \
    }                                                 \
    decl = std::move(*tmp)
