// The fixture of tests that run small workloads: the guest, a bench, and scenarios out of a few lines.
#pragma once

#include <cstdlib>
#include <memory>
#include <optional>

#include "tests/kvm/fixture.hpp"
#include "vmm/explore/single.hpp"

namespace stackrig::explore {

using test::must;

class WorkloadTest : public test::KvmTest {
  protected:
    void SetUp() override {
        test::KvmTest::SetUp();
        if (IsSkipped()) {
            return;
        }
        const char* path = std::getenv("STACKRIG_GUEST");
        guest.emplace(must(x86::Elf::load(path != nullptr ? path : "guest.elf")));
        bench = std::make_unique<Bench>(Bench{system(), *guest, {}});
    }
    /// The scenario of `text`, which holds everything but the header.
    const scenario::Scenario& scenario(const std::string& text) {
        auto checked = scenario::check("schema = 1\nname = \"a\"\nwhy = \"A workload.\"\n" + text, "a.toml", GuestSymbols(*guest));
        if (!checked) {
            throw std::runtime_error(scenario::render(checked.error()));
        }
        scenarios.push_back(std::make_unique<scenario::Scenario>(std::move(checked->front())));
        return *scenarios.back();
    }

    std::optional<x86::Elf> guest;
    std::unique_ptr<Bench> bench;
    std::vector<std::unique_ptr<scenario::Scenario>> scenarios;
};

}  // namespace stackrig::explore
