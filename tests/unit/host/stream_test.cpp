// The two framings: messages between front end and worker, frames on the virtual host's port.
#include <gtest/gtest.h>

#include "vmm/host/channel.hpp"
#include "vmm/host/initramfs.hpp"
#include "vmm/host/stream.hpp"

namespace stackrig::host {
namespace {

TEST(MessageReader, PutsMessagesTogetherWhereverTheBytesAreCut) {
    const std::string bytes = encode_message({{"n", 1}}) + encode_message({{"text", std::string(300, 'x')}});
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
        MessageReader reader;
        std::vector<Json> seen;
        for (const std::string& piece : {bytes.substr(0, cut), bytes.substr(cut)}) {
            reader.feed(piece);
            for (auto message = reader.next(); message && *message; message = reader.next()) {
                seen.push_back(**message);
            }
        }
        ASSERT_EQ(seen.size(), 2u) << "cut at " << cut;
        EXPECT_EQ(seen[0].value("n", 0), 1);
        EXPECT_EQ(seen[1].value("text", "").size(), 300u);
        EXPECT_EQ(reader.pending_bytes(), 0u);
    }
}

TEST(MessageReader, CallsNoiseNoise) {
    MessageReader text;
    text.feed("warning: something printed to stdout");
    const auto result = text.next();
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().text, "the worker's stream holds no message but noise (length field 0x6e726177): something else was written to its standard output");
    MessageReader broken;
    broken.feed(std::string("\3\0\0\0{x}", 7));
    EXPECT_EQ(broken.next().error().text, "the worker's stream holds a message that is no JSON");
}

TEST(FrameReader, PutsFramesTogetherWhereverTheBytesAreCut) {
    const std::string bytes = encode(wire::Type::output, std::string("a\0b", 3)) + encode(wire::Type::exited, std::string(4, '\7'));
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
        FrameReader reader;
        std::vector<Frame> seen;
        for (const std::string& piece : {bytes.substr(0, cut), bytes.substr(cut)}) {
            reader.feed(piece);
            for (auto frame = reader.next(); frame && *frame; frame = reader.next()) {
                seen.push_back(**frame);
            }
        }
        ASSERT_EQ(seen.size(), 2u) << "cut at " << cut;
        EXPECT_EQ(seen[0].data, std::string("a\0b", 3));
        EXPECT_EQ(seen[1].type, wire::Type::exited);
    }
}

TEST(FrameReader, RefusesAnotherMagicAndImpossibleLengths) {
    FrameReader kernel_log;
    kernel_log.feed("[    0.000000] Linux version");
    EXPECT_FALSE(kernel_log.next());
    const wire::Header huge{wire::magic, 17, wire::max_length + 1};
    FrameReader reader;
    reader.feed(std::string(reinterpret_cast<const char*>(&huge), sizeof huge));
    EXPECT_FALSE(reader.next());
}

TEST(Cpio, IsWhatTheKernelReads) {
    CpioWriter cpio;
    cpio.add_file("a", "12345");
    const std::string archive = cpio.finish();
    EXPECT_EQ(archive.substr(0, 6), "070701");
    EXPECT_EQ(archive.substr(6 + 6 * 8, 8), "00000005") << "c_filesize is the seventh field";
    EXPECT_EQ(archive.substr(6 + 11 * 8, 8), "00000002") << "c_namesize counts the NUL";
    EXPECT_EQ(archive.substr(112, 5), "12345") << "110 bytes of header, name and NUL, padded to four";
    EXPECT_NE(archive.find("TRAILER!!!"), std::string::npos);
    EXPECT_EQ(archive.size() % 4, 0u);
}

TEST(Stream, ATextThatIsNoUtf8TravelsAsReplacementCharacters) {
    MessageReader reader;
    reader.feed(encode_message({{"file", "\xff.toml"}}));
    const auto message = reader.next();
    ASSERT_TRUE(message && *message);
    EXPECT_EQ((**message)["file"], "\uFFFD.toml");
}

}  // namespace
}  // namespace stackrig::host
