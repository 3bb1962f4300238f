// Names of the verdicts, as every report spells them.
#include "vmm/explore/result.hpp"

namespace stackrig::explore {

const char* name_of(Verdict v) {
    switch (v) {
        case Verdict::pass: return "pass";
        case Verdict::expected_violation: return "expected violation";
        case Verdict::fail: return "FAIL";
        case Verdict::xpass: return "XPASS";
        case Verdict::skip: return "SKIP";
        case Verdict::vacuous: return "VACUOUS";
        case Verdict::incomplete: return "INCOMPLETE";
        case Verdict::timeout: return "TIMEOUT";
        case Verdict::error: return "ERROR";
    }
    return "?";
}

}  // namespace stackrig::explore
