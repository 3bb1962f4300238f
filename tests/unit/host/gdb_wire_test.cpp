// gdb's framing: checksums, escapes, pieces, and what is no packet.
#include "vmm/host/gdb_wire.hpp"

#include <gtest/gtest.h>

namespace stackrig::host {
namespace {

using Kind = GdbReader::Item::Kind;

TEST(GdbWire, FramesWithChecksumAndEscapes) {
    EXPECT_EQ(gdb_frame("OK"), "$OK#9a");
    EXPECT_EQ(gdb_frame(""), "$#00");
    EXPECT_EQ(gdb_frame("a}b"), "$a}]b#9d") << "the checksum is over the escaped bytes";
}

TEST(GdbWire, OutputForTheConsoleIsHexadecimal) { EXPECT_EQ(gdb_output("A\n\xff"), "O410aff"); }

TEST(GdbWire, PacketsArriveInAnyPieces) {
    const std::string bytes = "+$g#67-\x03$m}\x03,4#" "8d";
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
        GdbReader reader;
        std::string seen;
        for (const std::string& piece : {bytes.substr(0, cut), bytes.substr(cut)}) {
            reader.feed(piece);
            while (const auto item = reader.next()) {
                seen += item->kind == Kind::interrupt ? "!" : item->kind == Kind::damaged ? "?" : "[" + item->packet + "]";
            }
        }
        EXPECT_EQ(seen.substr(0, 4), "[g]!") << cut;
    }
}

TEST(GdbWire, EscapedBytesComeBackAndDamageIsSeen) {
    GdbReader reader;
    reader.feed(gdb_frame("x#$}*y"));
    EXPECT_EQ(reader.next()->packet, "x#$}*y");
    reader.feed("$g#68");
    EXPECT_EQ(reader.next()->kind, Kind::damaged);
    reader.feed("$g#6");
    EXPECT_FALSE(reader.next());
}

}  // namespace
}  // namespace stackrig::host
