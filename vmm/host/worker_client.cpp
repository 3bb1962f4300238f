// Asking a worker.
#include "vmm/host/worker_client.hpp"

#include <fmt/format.h>

namespace stackrig::host {
namespace {

constexpr std::size_t longest_complaint = 4000;
constexpr std::chrono::seconds last_words_patience{1};

}  // namespace

std::string_view name_of(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::usage: return "usage";
        case ErrorKind::host: return "host";
        case ErrorKind::guest: return "guest";
        case ErrorKind::rig: return "rig";
    }
    return "rig";
}

ErrorKind error_kind_named(std::string_view name) {
    for (const ErrorKind kind : {ErrorKind::usage, ErrorKind::host, ErrorKind::guest}) {
        if (name == name_of(kind)) {
            return kind;
        }
    }
    return ErrorKind::rig;
}

Result<Json> taken(Json answer) {
    if (const auto error = answer.find("error"); error != answer.end()) {
        return fail(error_kind_named(answer.value("kind", "rig")), error->get<std::string>());
    }
    return answer;
}

Unexpected WorkerClient::died(const Process::Ended& ended) const {
    std::string text = fmt::format("the worker ended before it answered: {}", describe(ended));
    if (reader_.pending_bytes() > 0) {
        text += fmt::format(", in the middle of a message ({} bytes of it arrived)", reader_.pending_bytes());
    }
    if (!complaints_.empty()) {
        text += fmt::format(". It said:\n{}", complaints_);
    }
    return fail(ErrorKind::rig, text);
}

/// A worker that takes no request has ended, as a rule: why says more than that its input is closed.
Unexpected WorkerClient::died_before(const Error& refused) {
    const Deadline deadline = in(last_words_patience);
    for (;;) {
        const auto event = process_->next(deadline);
        if (!event || !*event) {
            return tl::make_unexpected(refused);
        }
        if (const auto* ended = std::get_if<Process::Ended>(&**event)) {
            return died(*ended);
        }
        take(std::get<Process::Output>(**event));
    }
}

void WorkerClient::take(const Process::Output& output) {
    if (!output.standard_error) {
        reader_.feed(output.bytes);
        return;
    }
    complaints_ += output.bytes;
    complaints_.erase(0, complaints_.size() - std::min(complaints_.size(), longest_complaint));
}

Result<Json> WorkerClient::ask(const Json& request, std::chrono::milliseconds patience) {
    const Deadline deadline = in(patience);
    gone_ = true;  // until it answers
    if (const auto written = process_->write(encode_message(request)); !written) {
        return died_before(written.error());
    }
    for (;;) {
        STACKRIG_TRY_ASSIGN(auto message, reader_.next());
        if (message) {
            gone_ = false;
            return taken(std::move(*message));
        }
        STACKRIG_TRY_ASSIGN(auto event, process_->next(deadline));
        if (!event) {
            process_->kill();
            return fail(ErrorKind::rig, fmt::format("the worker gave no answer for {} s and was killed", patience.count() / 1000));
        }
        if (const auto* ended = std::get_if<Process::Ended>(&*event)) {
            return died(*ended);
        }
        take(std::get<Process::Output>(*event));
    }
}

Result<void> WorkerClient::finish(std::chrono::milliseconds patience) {
    const Deadline deadline = in(patience);
    STACKRIG_TRY(process_->close_input());
    for (;;) {
        STACKRIG_TRY_ASSIGN(const auto event, process_->next(deadline));
        if (!event) {
            process_->kill();
            return fail(ErrorKind::rig, fmt::format("the worker did not end within {} s and was killed", patience.count() / 1000));
        }
        if (const auto* ended = std::get_if<Process::Ended>(&*event)) {
            if (ended->how == Process::Ended::How::exited && ended->number == 0) {
                return {};
            }
            return died(*ended);
        }
        take(std::get<Process::Output>(*event));
    }
}

}  // namespace stackrig::host
