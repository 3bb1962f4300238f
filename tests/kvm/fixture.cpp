// The fixture: one open KVM and one probe per test program.
#include "tests/kvm/fixture.hpp"

#include <cstdlib>
#include <memory>

namespace stackrig::test {
namespace {

struct Host {
    std::unique_ptr<kvm::System> system;
    host::ProbeReport report;
    std::string why_not;  // empty: usable
};

Host open_host() {
    Host host;
    auto system = kvm::System::open();
    if (!system) {
        host.why_not = system.error().text;
        return host;
    }
    host.system = std::make_unique<kvm::System>(std::move(*system));
    auto report = host::probe(*host.system);
    if (!report) {
        host.why_not = report.error().text;
        return host;
    }
    host.report = std::move(*report);
    if (!host.report.sufficient) {
        host.why_not = "this KVM lacks " + host.report.why_not();
    }
    return host;
}

const Host& the_host() {
    static const Host host = open_host();
    return host;
}

}  // namespace

bool kvm_is_required() {
    const char* value = std::getenv("STACKRIG_REQUIRE_KVM");
    return value != nullptr && std::string(value) == "1";
}

const kvm::System& KvmTest::system() { return *the_host().system; }

const host::ProbeReport& KvmTest::report() { return the_host().report; }

void KvmTest::SetUp() {
    if (!the_host().why_not.empty()) {
        STACKRIG_SKIP_WITHOUT_KVM(the_host().why_not);
    }
}

}  // namespace stackrig::test
