// Properties without a check of their own: what covers them, or why nothing can.
#include "vmm/oracle/catalogue.hpp"

namespace stackrig::oracle {
namespace {

constexpr Elsewhere all[] = {
    {"INV-32", "the hooks run where RCU watches and nothing is instrumented", "",
     "The guest kernel has neither RCU nor context tracking nor tracing: there is no state that could be "
     "wrong."},
    {"INV-33", "extra pages are charged to their thread", "",
     "The guest kernel has no memory control groups and no vmstat: nothing is charged. The ledger (INV-4, "
     "I17) counts the pages."},
    {"ECON-1", "what is saved", "", "A measure, not an invariant: it cannot be broken."},
    {"I1", "all pages mapped between the hooks", "INV-5, INV-27", ""},
    {"I2", "one page in user mode", "INV-11", ""},
    {"I3", "every frame in exactly one place", "INV-4", ""},
    {"I6", "4 KiB suffice around the hooks", "INV-12, INV-13", ""},
    {"I7", "the hooks run with IRQs off, entries as their class says", "INV-8, CLASS-1, CLASS-2", ""},
    {"I8", "nobody sleeps where it may not", "INV-15", ""},
    {"I9", "one user of the reserve, which is whole when needed", "INV-17, INV-18, INV-19, INV-20", ""},
    {"I10", "no stale translation is used", "INV-22, INV-23, INV-24", ""},
    {"I15", "no old contents are visible", "INV-25", ""},
    {"I19", "no lock of a hook is taken again by what interrupts it",
     "I14 when it happens, LIVE-4 when it spins",
     "A lock that could be taken again but was not leaves no trace at a stop."},
};

}  // namespace

std::span<const Elsewhere> checked_elsewhere() { return all; }

}  // namespace stackrig::oracle
