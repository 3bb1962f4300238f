// Programs on this machine: streams apart, ends told apart, nothing left behind.
#include <csignal>
#include <gtest/gtest.h>
#include <unistd.h>

#include "vmm/host/process.hpp"
#include "vmm/host/worker_client.hpp"

namespace stackrig::host {
namespace {

struct Collected {
    std::string out;
    std::string err;
    std::string end;
};

Collected collect(Process& process) {
    Collected all;
    for (;;) {
        auto event = process.next(in(std::chrono::seconds(20)));
        if (!event || !*event) {
            all.end = event ? "deadline" : event.error().text;
            return all;
        }
        if (const auto* output = std::get_if<Process::Output>(&**event)) {
            (output->standard_error ? all.err : all.out) += output->bytes;
        } else {
            all.end = describe(std::get<Process::Ended>(**event));
            return all;
        }
    }
}

std::unique_ptr<Process> shell(const std::string& script) {
    auto process = start_local({"/bin/sh", "-c", script});
    EXPECT_TRUE(process) << (process ? "" : process.error().text);
    return process ? std::move(*process) : nullptr;
}

TEST(LocalProcess, KeepsTheStreamsApartAndTellsTheStatus) {
    const Collected all = collect(*shell("echo out; echo err >&2; exit 7"));
    EXPECT_EQ(all.out, "out\n");
    EXPECT_EQ(all.err, "err\n");
    EXPECT_EQ(all.end, "exit status 7");
}

TEST(LocalProcess, TellsASignalFromAnExit) { EXPECT_EQ(collect(*shell("kill -SEGV $$")).end, "killed by SIGSEGV"); }

TEST(LocalProcess, PassesMoreThanAPipeHolds) {
    EXPECT_EQ(collect(*shell("head -c 1000000 /dev/zero; head -c 500000 /dev/zero >&2")).out.size(), 1000000u);
}

TEST(LocalProcess, FeedsStandardInput) {
    const auto cat = shell("cat");
    ASSERT_TRUE(cat->write("through and back"));
    ASSERT_TRUE(cat->close_input());
    EXPECT_EQ(collect(*cat).out, "through and back");
}

TEST(LocalProcess, SaysWhenAProgramDoesNotExist) {
    const auto process = start_local({"/no/such/program"});
    ASSERT_FALSE(process);
    EXPECT_NE(process.error().text.find("ENOENT"), std::string::npos) << process.error().text;
}

TEST(LocalProcess, LeavesNoGrandchildBehind) {
    std::string pid;
    {
        const auto process = shell("sleep 1000 & echo $!; wait");
        const auto event = process->next(in(std::chrono::seconds(20)));
        ASSERT_TRUE(event && *event);
        pid = std::get<Process::Output>(**event).bytes;
    }
    for (int tries = 0; tries < 200 && ::kill(std::stoi(pid), 0) == 0; ++tries) {
        ::usleep(10'000);  // SIGKILL has been sent; init has to reap it
    }
    EXPECT_NE(::kill(std::stoi(pid), 0), 0) << "sleep " << pid << " is still there";
}

TEST(WorkerClient, ReportsADeadWorkerWithItsLastWords) {
    auto process = start_local({"/bin/sh", "-c", "head -c 5 >/dev/null; echo 'something is wrong' >&2; kill -ABRT $$"});
    ASSERT_TRUE(process);
    WorkerClient client(std::move(*process));
    const auto answer = client.ask({{"do", "run"}}, std::chrono::seconds(20));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().text, "the worker ended before it answered: killed by SIGABRT. It said:\nsomething is wrong\n");
}

TEST(WorkerClient, SaysThatAnAnswerWasCutOff) {
    auto process = start_local({"/bin/sh", "-c", "head -c 5 >/dev/null; printf '\\100\\000\\000\\000abc'; exit 3"});
    ASSERT_TRUE(process);
    WorkerClient client(std::move(*process));
    const auto answer = client.ask({{"do", "run"}}, std::chrono::seconds(20));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().text, "the worker ended before it answered: exit status 3, in the middle of a message (7 bytes of it arrived)");
}

TEST(WorkerClient, AWorkerThatEndedBetweenRequestsStillHasItsLastWords) {
    std::signal(SIGPIPE, SIG_IGN);  // as the command line does
    auto process = shell("exec <&-; echo 'out of memory' >&2; exit 9");
    for (int tries = 0; tries < 2000 && process->write("x"); ++tries) {
        ::usleep(10'000);  // until it is gone, or at least its input
    }
    WorkerClient client(std::move(process));
    const auto answer = client.ask({{"do", "run"}}, std::chrono::seconds(20));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().text, "the worker ended before it answered: exit status 9. It said:\nout of memory\n");
}

TEST(LocalProcess, SaysThatNobodyReadsItsInput) {
    std::signal(SIGPIPE, SIG_IGN);
    const auto process = shell("exit 0");
    EXPECT_EQ(collect(*process).end, "exit status 0");
    const auto written = process->write("too late");
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().text, "write: EPIPE (Broken pipe) to the program's standard input");
}

TEST(WorkerClient, OneThatDoesNotEndIsKilled) {
    WorkerClient client(shell("exec sleep 1000"));
    const auto finished = client.finish(std::chrono::milliseconds(50));
    ASSERT_FALSE(finished);
    EXPECT_EQ(finished.error().text, "the worker did not end within 0 s and was killed");
}

TEST(WorkerClient, GivesUpOnASilentWorker) {
    auto process = start_local({"/bin/sh", "-c", "sleep 1000"});
    ASSERT_TRUE(process);
    WorkerClient client(std::move(*process));
    const auto answer = client.ask({{"do", "run"}}, std::chrono::milliseconds(50));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().text, "the worker gave no answer for 0 s and was killed");
}

TEST(WorkerClient, PassesTheWorkersOwnErrorsOnWithTheirKind) {
    const std::string bytes = encode_message({{"error", "no such place"}, {"kind", "usage"}});
    auto process = start_local({"/bin/sh", "-c", "printf '\\" + std::to_string(bytes[0] / 64) + std::to_string(bytes[0] / 8 % 8) +
                                                     std::to_string(bytes[0] % 8) + "\\000\\000\\000%s' '" + bytes.substr(4) + "'; cat >/dev/null"});
    ASSERT_TRUE(process);
    WorkerClient client(std::move(*process));
    const auto answer = client.ask({{"do", "inspect"}}, std::chrono::seconds(20));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().text, "no such place");
    EXPECT_EQ(answer.error().kind, ErrorKind::usage);
}

}  // namespace
}  // namespace stackrig::host
