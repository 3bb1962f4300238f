#include "vmm/cli/soak_tally.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <nlohmann/json.hpp>

namespace stackrig::cli {

using Json = nlohmann::json;

void SoakTally::Counts::add(const Counts& other) {
    runs += other.runs;
    alarms += other.alarms;
    predicates += other.predicates;
    stops += other.stops;
}

Result<SoakTally> SoakTally::open(const std::string& file, std::uint64_t seed, std::uint64_t scenarios) {
    SoakTally tally;
    tally.file_ = file;
    tally.seed_ = seed;
    tally.scenarios_ = scenarios;
    std::ifstream in(file);
    if (file.empty() || !in) {
        return tally;
    }
    const Json json = Json::parse(in, nullptr, false);
    const auto number = [&](const char* key) { return json.value(key, std::uint64_t{0}); };
    if (!json.is_object() || number("seed") != seed || number("scenarios") != scenarios) {
        return fail(ErrorKind::usage, fmt::format("{} is no tally of a soak of {} scenarios with seed {}", file, scenarios, seed));
    }
    tally.next_ = number("next_visit");
    tally.total_ = {.runs = number("runs"), .alarms = number("alarms"), .predicates = number("predicates"), .stops = number("stops")};
    return tally;
}

Result<void> SoakTally::note(std::uint64_t visit, const Counts& counts) {
    if (!kept()) {
        return {};
    }
    ahead_.emplace(visit, counts);
    const std::uint64_t before = next_;
    for (auto first = ahead_.begin(); first != ahead_.end() && first->first == next_; first = ahead_.erase(first)) {
        total_.add(first->second);
        ++next_;
    }
    return next_ == before ? Result<void>{} : write();
}

/// All of it or nothing, whenever it is killed.
Result<void> SoakTally::write() const {
    const std::string beside = file_ + ".new";
    std::ofstream out(beside);
    out << Json{{"seed", seed_}, {"scenarios", scenarios_}, {"next_visit", next_}, {"runs", total_.runs}, {"alarms", total_.alarms}, {"predicates", total_.predicates}, {"stops", total_.stops}}.dump(1) << "\n";
    out.close();
    std::error_code error;
    std::filesystem::rename(beside, file_, error);
    if (!out || error) {
        return fail(ErrorKind::host, fmt::format("{} cannot be written", file_));
    }
    return {};
}

}  // namespace stackrig::cli
