// The front end's side of a worker: asks, and waits for the answer.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "vmm/base/result.hpp"
#include "vmm/host/process.hpp"
#include "vmm/host/stream.hpp"

namespace stackrig::host {

/// One worker process, here or in the virtual host. After an error it is of no use any more.
class WorkerClient {
  public:
    explicit WorkerClient(std::unique_ptr<Process> process) : process_(std::move(process)) {}

    /// Sends a request and waits for its answer. Errors: the worker's own (its kind and text), its death (with what it
    /// last wrote to standard error), or silence until `patience` is over, after which it is killed.
    [[nodiscard]] Result<Json> ask(const Json& request, std::chrono::milliseconds patience);
    /// It has died, or was killed for its silence: its last request was not answered.
    [[nodiscard]] bool gone() const { return gone_; }
    /// Closes its input and waits for its end. Error: it did not end well, or not in time.
    [[nodiscard]] Result<void> finish(std::chrono::milliseconds patience);

  private:
    [[nodiscard]] Unexpected died(const Process::Ended& ended) const;
    [[nodiscard]] Unexpected died_before(const Error& refused);
    void take(const Process::Output& output);
    std::unique_ptr<Process> process_;
    MessageReader reader_;
    bool gone_ = false;
    std::string complaints_;  ///< standard error, its end
};

/// An answer, or the error that the worker sent instead of one.
[[nodiscard]] Result<Json> taken(Json answer);

/// Names of ErrorKind on the stream.
[[nodiscard]] std::string_view name_of(ErrorKind kind);
[[nodiscard]] ErrorKind error_kind_named(std::string_view name);

}  // namespace stackrig::host
