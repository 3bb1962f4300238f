// Which host is taken, and why, as the headline has it: with a worker that answers the probe by a script.
#include "vmm/host/session.hpp"

#include "tests/unit/host/fakes.hpp"

namespace stackrig::host {
namespace {

class SessionTest : public FolderTest {
  protected:
    /// What comes of it when the worker's answer to the probe is `answer`.
    std::string opened(HostKind kind, const Json& answer) const {
        SessionOptions options{.kind = kind};
        options.paths.program = put_script("stackrig", "cat " + put("answer", encode_message(answer)) + "; cat >/dev/null");
        options.paths.kernel = "/nowhere";
        const auto session = Session::open(options);
        return session ? (*session)->headline() : session.error().text;
    }
};

const Json sufficient = {{"sufficient", true}, {"items", Json::array()}};
const Json insufficient = {{"sufficient", false},
                           {"items", {{{"name", "inject.nmi"}, {"required", true}, {"ok", false}}, {{"name", "smap"}, {"required", false}, {"ok", false}},
                                      {{"name", "step.iretq"}, {"required", true}, {"ok", false}}, {{"name", "inject.irq"}, {"required", true}, {"ok", true}}}}};

TEST_F(SessionTest, ALocalKvmThatIsGoodEnoughIsTaken) {
    EXPECT_EQ(opened(HostKind::automatic, sufficient), "host: local /dev/kvm, the probe found all that is required");
    EXPECT_EQ(opened(HostKind::local, sufficient), "host: local /dev/kvm, --host local asks for it");
}

TEST_F(SessionTest, OneThatIsNotIsRefusedWithWhatItLacksAndWhatToDo) {
    EXPECT_EQ(opened(HostKind::local, insufficient), "the local /dev/kvm fails the probe (inject.nmi, step.iretq; ./rig doctor says more). Use --host virtual, or a "
                                                     "machine with VMX or SVM");
    EXPECT_EQ(opened(HostKind::local, {{"error", "open: ENOENT for /dev/kvm"}, {"kind", "host"}}),
              "open: ENOENT for /dev/kvm. Use --host virtual, or a machine with VMX or SVM");
}

TEST_F(SessionTest, AutomaticallyTheVirtualHostIsTakenInstead) {
    EXPECT_EQ(opened(HostKind::automatic, insufficient).find("the virtual host has no kernel: /nowhere/vmlinux cannot be read."), 0U);
}

}  // namespace
}  // namespace stackrig::host
