// `ask`: a worker's requests and answers as lines of text, for programs that are no part of this one.
#include <fmt/format.h>
#include <iostream>

#include "vmm/cli/commands.hpp"
#include "vmm/cli/common.hpp"

namespace stackrig::cli {
namespace {

using host::Json;

constexpr std::int64_t default_patience_s = 60;

/// A worker that dies of a request loses that one and nothing else.
class Desk {
  public:
    Desk(host::Session& session, const std::vector<std::string>& guests) : session_(session), guests_(guests) {}

    Json answer(const std::string& line) {
        Json request = Json::parse(line, nullptr, false);
        if (!request.is_object()) {
            return said({ErrorKind::usage, "the line is no JSON object"});
        }
        if (const auto guest = request.find("guest"); guest != request.end()) {
            *guest = session_.path_there(guest->get<std::string>());
        }
        auto result = pass_on(request);
        if (!result && result.error().kind != ErrorKind::usage) {
            worker_.reset();
            session_.host_was_lost();
        }
        return result ? std::move(*result) : said(result.error());
    }

  private:
    static Json said(const Error& error) { return {{"error", error.text}, {"kind", host::name_of(error.kind)}}; }

    Result<Json> pass_on(const Json& request) {
        if (!worker_) {
            STACKRIG_TRY_ASSIGN(worker_, session_.start_worker(guests_));
        }
        return worker_->ask(request, std::chrono::seconds(request.value("patience_s", default_patience_s)));
    }

    host::Session& session_;
    const std::vector<std::string>& guests_;
    std::unique_ptr<host::WorkerClient> worker_;
};

}  // namespace

int ask(const HostChoice& host, const std::vector<std::string>& guests) {
    auto session = open_host(host);
    if (!session) {
        return report(session.error());
    }
    fmt::print("{}\n", Json{{"host", (*session)->headline()}}.dump());
    std::fflush(stdout);
    Desk desk(**session, guests);
    for (std::string line; std::getline(std::cin, line);) {
        fmt::print("{}\n", desk.answer(line).dump(-1, ' ', false, Json::error_handler_t::replace));
        std::fflush(stdout);
    }
    return 0;
}

}  // namespace stackrig::cli
