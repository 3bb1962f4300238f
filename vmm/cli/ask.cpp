// `ask`: a worker's requests and answers as lines of text, for programs that are no part of this one.
#include <fmt/format.h>
#include <iostream>

#include "vmm/cli/commands.hpp"
#include "vmm/cli/crew.hpp"

namespace stackrig::cli {
namespace {

using host::Json;

constexpr std::int64_t default_patience_s = 60;

Json said(const Error& error) { return {{"error", error.text}, {"kind", host::name_of(error.kind)}}; }

/// A worker that dies of a request loses that one and nothing else.
Json answer(Crew& crew, const std::string& line) {
    Json request = Json::parse(line, nullptr, false);
    if (!request.is_object()) {
        return said({ErrorKind::usage, "the line is no JSON object"});
    }
    if (const auto guest = request.find("guest"); guest != request.end()) {
        *guest = crew.session().path_there(guest->get<std::string>());
    }
    auto result = crew.ask(request, std::chrono::seconds(request.value("patience_s", default_patience_s)));
    return result ? std::move(*result) : said(result.error());
}

}  // namespace

int ask(const HostChoice& host, const std::vector<std::string>& guests) {
    auto crew = Crew::hire(host, guests);
    if (!crew) {
        return report(crew.error());
    }
    fmt::print("{}\n", Json{{"host", crew->session().headline()}}.dump());
    std::fflush(stdout);
    for (std::string line; std::getline(std::cin, line);) {
        fmt::print("{}\n", answer(*crew, line).dump(-1, ' ', false, Json::error_handler_t::replace));
        std::fflush(stdout);
    }
    return 0;
}

}  // namespace stackrig::cli
