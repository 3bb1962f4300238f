// One worker and its host, replaced when they are lost.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "vmm/cli/common.hpp"

namespace stackrig::cli {

/// A virtual host runs one program at a time: who wants several workers hires several.
class Crew {
  public:
    /// Opens the host. `guests`: more guest images that the worker can be asked to run, by session().path_there().
    static Result<Crew> hire(const HostChoice& host, std::vector<std::string> guests = {});

    /// Asks the worker, starting one if there is none. A worker that gave no answer is lost with its virtual host: the next
    /// request gets others. Errors as of WorkerClient::ask() and Session::start_worker().
    [[nodiscard]] Result<host::Json> ask(const host::Json& request, std::chrono::milliseconds patience);
    /// The same for requests whose answer depends on nothing but themselves: asked once more, with a note, when the first
    /// answer was lost.
    [[nodiscard]] Result<host::Json> ask_twice(const host::Json& request, std::chrono::milliseconds patience);
    [[nodiscard]] host::Session& session() { return *session_; }

  private:
    Crew(std::unique_ptr<host::Session> session, std::vector<std::string> guests) : session_(std::move(session)), guests_(std::move(guests)) {}

    // In this order: the worker goes first.
    std::unique_ptr<host::Session> session_;
    std::vector<std::string> guests_;
    std::unique_ptr<host::WorkerClient> worker_;
    bool lost_ = false;  // nobody answered the last request
};

}  // namespace stackrig::cli
