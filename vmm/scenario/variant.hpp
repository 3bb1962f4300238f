// Variants: the run of a file with some of its keys changed.
#pragma once

#include "vmm/scenario/document.hpp"

namespace stackrig::scenario {

/// The document as if it had been written for the variant, whose table is `variant` (docs/scenario-format.md): without any
/// variants. Places in the file stay those of what was taken.
[[nodiscard]] Value with_variant(const Value& document, const Value& variant);

}  // namespace stackrig::scenario
