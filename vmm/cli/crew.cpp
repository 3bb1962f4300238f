// Workers that are replaced.
#include "vmm/cli/crew.hpp"

#include <fmt/format.h>

namespace stackrig::cli {
namespace {

/// Behind such an error the worker, if there still is one, may be in any state; behind what it has against a request or a guest it is
/// as good as before.
bool spoils_worker(const Error& error) { return error.kind == ErrorKind::host || error.kind == ErrorKind::rig; }

}  // namespace

Result<Crew> Crew::hire(const HostChoice& host, std::vector<std::string> guests) {
    STACKRIG_TRY_ASSIGN(auto session, open_host(host));
    return Crew(std::move(session), std::move(guests));
}

Result<host::Json> Crew::ask(const host::Json& request, std::chrono::milliseconds patience) {
    const auto asked = [&]() -> Result<host::Json> {
        if (!worker_) {
            STACKRIG_TRY_ASSIGN(worker_, session_->start_worker(guests_));
        }
        return worker_->ask(request, patience);
    };
    auto answer = asked();
    lost_ = !answer && (!worker_ || worker_->gone());
    if (!answer && spoils_worker(answer.error())) {
        worker_.reset();
        session_->host_was_lost();
    }
    return answer;
}

Result<host::Json> Crew::ask_twice(const host::Json& request, std::chrono::milliseconds patience) {
    auto answer = ask(request, patience);
    if (answer || !lost_) {
        return answer;  // a worker's own complaint is an answer: that the rig is not deterministic must not be asked away
    }
    fmt::print(stderr, "note: {}\nnote: what was lost with it is done once more\n", answer.error().text);
    return ask(request, patience);
}

}  // namespace stackrig::cli
