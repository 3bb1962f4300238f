// Which scheme this boot runs.
#include "guest/stack/scheme.hpp"

namespace guest {
namespace {

const StackScheme* selected = &fixed_scheme;

}  // namespace

const StackScheme& scheme() { return *selected; }

void select_scheme(abi::Scheme which) {
    selected = which == abi::Scheme::entry_exit ? &entry_exit_scheme : &fixed_scheme;
}

void stack_pages_freed() { scheme().page_freed(); }

}  // namespace guest
