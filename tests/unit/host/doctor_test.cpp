// The doctor's text, word for word.
#include "vmm/host/doctor.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace stackrig::host {
namespace {

ProbeItem ok(const char* name, bool required = false) { return {name, required, true, "seen"}; }
ProbeItem bad(const char* name, bool required, const char* detail) { return {name, required, false, detail}; }

HostReport good_virtual(const char* name) { return {.name = name, .error = "", .items = {ok("inject.nmi", true), ok("tlb.stale"), ok("smap"), ok("rule.step.sti", true)}}; }

MachineFacts machine(DeviceFacts device = {DeviceFacts::State::open, "root:kvm 0660"}) {
    return {.kernel = "Linux 6.1.0", .cpu = "A CPU", .modules = "kvm kvm_odd", .device = std::move(device)};
}

TEST(Doctor, PutsHostsSideBySideAndSaysWhatEachGapCosts) {
    HostReport nested = good_virtual("virtual npt=1");
    nested.items[1] = bad("tlb.stale", false, "nested paging");
    nested.items[2] = bad("smap", false, "no #PF");
    const HostReport local{.name = "local", .error = "", .items = {bad("inject.nmi", true, "HLT at 0x1")}};
    EXPECT_EQ(doctor_text(machine(), {local, nested, good_virtual("virtual npt=0")}, {{"tlb.stale", {"one", "two"}}}),
              R"(kernel: Linux 6.1.0
cpu: A CPU
KVM modules: kvm kvm_odd
/dev/kvm: this user may open it, root:kvm 0660

capability                local          virtual npt=1  virtual npt=0
inject.nmi *              no             yes            yes
tlb.stale                 -              no             yes
smap                      -              no             yes
rule.step.sti *           -              yes            yes
* the rig does not use a KVM without it. rule.*: exact stepping and exact delivery rest on it; looked at where the rest is there.

local lacks:
  inject.nmi: HLT at 0x1
    -> the rig does not use this host

virtual npt=1 lacks:
  tlb.stale: nested paging
    -> skipped there, each counted: one, two
  smap: no #PF
    -> no scenario requires it

virtual npt=0 lacks nothing.

The local KVM does not behave as VMX or SVM do (modules: kvm kvm_odd). Nothing can be done about it here; the virtual host does instead.

./rig run would use: virtual npt=0
)");
}

std::string advice(const HostReport& local, DeviceFacts device) { return doctor_text(machine(std::move(device)), {local, good_virtual("virtual npt=0")}, {}); }

TEST(Doctor, SaysWhatToDoAboutAForbiddenDevice) {
    const std::string text = advice({.name = "local", .error = "open: EACCES", .items = {}}, {DeviceFacts::State::forbidden, "root:kvm 0660"});
    EXPECT_NE(text.find("/dev/kvm: forbidden, root:kvm 0660\n"), std::string::npos) << text;
    EXPECT_NE(text.find(R"(
/dev/kvm is there (root:kvm 0660) and this user may not open it. Join its group and log in anew:
    sudo usermod -aG kvm $USER
or, where every user may (CI), let udev say so:
    echo 'KERNEL=="kvm", GROUP="kvm", MODE="0666", OPTIONS+="static_node=kvm"' | sudo tee /etc/udev/rules.d/99-kvm.rules
    sudo udevadm control --reload-rules && sudo udevadm trigger --name-match=kvm
)"), std::string::npos) << text;
    EXPECT_NE(text.find("\nlocal: open: EACCES\n"), std::string::npos) << text;
}

TEST(Doctor, SaysWhatToDoAboutAMissingDevice) {
    const std::string text = advice({.name = "local", .error = "open: ENOENT", .items = {}}, {});
    EXPECT_NE(text.find("/dev/kvm: absent\n"), std::string::npos) << text;
    EXPECT_NE(text.find(R"(
There is no /dev/kvm. On a CPU with VMX or SVM: switch it on in the firmware's setup, then, as root, modprobe kvm-intel or
modprobe kvm-amd. In a container: --device /dev/kvm. In a virtual machine: its host must allow nested virtualisation.
)"), std::string::npos) << text;
    EXPECT_NE(text.find("./rig run would use: virtual npt=0"), std::string::npos) << text;
}

TEST(Doctor, TellsAHardwareHostThatBreaksARuleFromASoftwareKvm) {
    HostReport local = good_virtual("local");
    local.items[3] = bad("rule.step.sti", true, "behind kernel_sti the next boundary is x instead of y");
    const std::string text = advice(local, {DeviceFacts::State::open, "root:kvm 0666"});
    EXPECT_NE(text.find("  rule.step.sti: behind kernel_sti the next boundary is x instead of y\n"), std::string::npos) << text;
    EXPECT_NE(text.find(R"(
The local KVM has all the rig needs but breaks a rule above, so that its verdicts could not be trusted: it is not used.
Please report it, with all of this text.
)"), std::string::npos) << text;
    EXPECT_NE(text.find("./rig run would use: virtual npt=0"), std::string::npos) << text;
}

TEST(Doctor, AKvmOfNoKnownModuleIsSaidToBeOne) {
    MachineFacts without = machine();
    without.modules.clear();
    const HostReport local{.name = "local", .error = "", .items = {bad("inject.nmi", true, "HLT at 0x1")}};
    const std::string text = doctor_text(without, {local}, {});
    EXPECT_NE(text.find("KVM modules: none\n"), std::string::npos) << text;
    EXPECT_NE(text.find("does not behave as VMX or SVM do (modules: none to be seen). Nothing can be done about it here"), std::string::npos) << text;
}

TEST(Doctor, AGoodLocalHostIsChosenAndNothingIsToBeDone) {
    const std::string text = advice(good_virtual("local"), {DeviceFacts::State::open, "root:kvm 0666"});
    EXPECT_NE(text.find("local lacks nothing.\n"), std::string::npos) << text;
    EXPECT_TRUE(text.ends_with("virtual npt=0 lacks nothing.\n\n./rig run would use: local\n")) << text;
}

TEST(Doctor, WithoutAnyUsableHostItSaysSo) {
    EXPECT_EQ(chosen_host({{.name = "local", .error = "x", .items = {}}}), "");
    EXPECT_TRUE(doctor_text(machine(), {{.name = "local", .error = "x", .items = {}}}, {}).ends_with("\nNo host can run the guest.\n"));
}

TEST(Doctor, LooksAtTheDeviceItself) {
    EXPECT_EQ(device_facts("/nowhere/kvm").state, DeviceFacts::State::absent);
    std::string pattern = (std::filesystem::temp_directory_path() / "stackrig-doctor-XXXXXX").string();
    const std::filesystem::path folder = ::mkdtemp(pattern.data());
    const std::string file = (folder / "kvm").string();
    std::ofstream{file};
    ASSERT_EQ(::chmod(file.c_str(), 0640), 0);
    const DeviceFacts facts = device_facts(file);
    EXPECT_EQ(facts.state, DeviceFacts::State::open);
    EXPECT_TRUE(facts.access.ends_with(" 0640")) << facts.access;
    std::filesystem::remove_all(folder);
    EXPECT_EQ(device_facts("/proc").state, DeviceFacts::State::forbidden) << "a folder cannot be opened for writing";
}

}  // namespace
}  // namespace stackrig::host
