// Names of exceptions.
#include "vmm/x86/descriptors.hpp"

#include <array>

namespace stackrig::x86 {

std::optional<std::string_view> exception_name(Vector vector) {
    constexpr std::array<std::string_view, 32> names = {
        "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "",    "#TS", "#NP", "#SS", "#GP", "#PF", "",
        "#MF", "#AC", "#MC", "#XM", "#VE", "#CP", "",    "",    "",    "",    "",    "",    "#HV", "#VC", "#SX", ""};
    if (vector.value() >= names.size() || names[vector.value()].empty()) {
        return std::nullopt;
    }
    return names[vector.value()];
}

}  // namespace stackrig::x86
