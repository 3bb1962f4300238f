// Evaluation of predicates.
#include "vmm/scenario/predicate.hpp"

#include <algorithm>

namespace stackrig::scenario {
namespace {

bool compare(Predicate::Op op, std::int64_t a, std::int64_t b) {
    switch (op) {
        case Predicate::Op::equal:
            return a == b;
        case Predicate::Op::not_equal:
            return a != b;
        case Predicate::Op::less:
            return a < b;
        case Predicate::Op::less_equal:
            return a <= b;
        case Predicate::Op::greater:
            return a > b;
        default:
            return a >= b;
    }
}

void collect(const Predicate& predicate, std::vector<Fact>& into) {
    if (predicate.op == Predicate::Op::fact &&
        std::find(into.begin(), into.end(), predicate.fact) == into.end()) {
        into.push_back(predicate.fact);
    }
    for (const Predicate& part : predicate.parts) {
        collect(part, into);
    }
}

}  // namespace

std::int64_t evaluate(const Predicate& p, const FactReader& read) {
    const auto truth = [&](const Predicate& part) { return evaluate(part, read) != 0; };
    switch (p.op) {
        case Predicate::Op::integer:
            return p.value;
        case Predicate::Op::fact:
            return read(p.fact);
        case Predicate::Op::negation:
            return truth(p.parts[0]) ? 0 : 1;
        case Predicate::Op::both:
            return std::all_of(p.parts.begin(), p.parts.end(), truth) ? 1 : 0;
        case Predicate::Op::either:
            return std::any_of(p.parts.begin(), p.parts.end(), truth) ? 1 : 0;
        default:
            return compare(p.op, evaluate(p.parts[0], read), evaluate(p.parts[1], read)) ? 1 : 0;
    }
}

std::vector<Fact> facts_of(const Predicate& predicate) {
    std::vector<Fact> out;
    collect(predicate, out);
    return out;
}

}  // namespace stackrig::scenario
