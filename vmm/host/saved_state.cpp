// Saved machine states on disk.
#include "vmm/host/saved_state.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <span>
#include <sys/file.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "vmm/host/stream.hpp"

namespace stackrig::host {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t page_bytes = 4096;

// The end of the file: where its parts end, and a sum over all of them.
struct Footer {
    std::uint64_t magic;
    std::uint64_t facts_at;  ///< where the facts begin, which is where the devices end
    std::uint64_t sum;       ///< of RAM, devices and facts
};
constexpr std::uint64_t footer_magic = 0x3174617473677273;  // "srgstat1": raised when the layout changes

std::uint64_t mix(std::uint64_t hash, std::uint64_t word) { return (hash ^ word) * 0x9e3779b97f4a7c15 ^ hash >> 29; }

/// In four lanes, so that it keeps up with memory. What is left of the last 32 bytes counts as padded by zeros.
std::uint64_t sum_of(const char* bytes, std::size_t size) {
    std::array<std::uint64_t, 4> lanes{1, 2, 3, 4};
    std::array<std::uint64_t, 4> words{};
    for (std::size_t at = 0; at < size; at += sizeof words) {
        words = {};
        std::memcpy(words.data(), bytes + at, std::min(sizeof words, size - at));
        for (std::size_t i = 0; i < words.size(); ++i) {
            lanes[i] = mix(lanes[i], words[i]);
        }
    }
    return mix(mix(mix(mix(size, lanes[0]), lanes[1]), lanes[2]), lanes[3]);
}

bool all_zero(const char* page) {
    static constexpr std::array<char, page_bytes> zeros{};
    return std::memcmp(page, zeros.data(), page_bytes) == 0;
}

Result<void> read_at(int file, std::span<char> into, std::uint64_t at) {
    while (!into.empty()) {
        const ssize_t n = ::pread(file, into.data(), into.size(), static_cast<off_t>(at));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return fail_errno(ErrorKind::host, "pread", n == 0 ? EIO : errno, "of the virtual host's RAM");
        }
        into = into.subspan(static_cast<std::size_t>(n));
        at += static_cast<std::uint64_t>(n);
    }
    return {};
}

/// Calls `use(offset, pages)` for each stretch of pages of the first `size` bytes that are not all zeros; a hole is not read. Through
/// a buffer: a mapping would cost a fault for each page.
template <class Use>
Result<void> each_stretch(int file, std::uint64_t size, const Use& use) {
    std::vector<char> buffer(256 * page_bytes);
    for (off_t at = 0; (at = ::lseek(file, at, SEEK_DATA)) >= 0 && static_cast<std::uint64_t>(at) < size;) {
        const auto end = std::min(static_cast<std::uint64_t>(::lseek(file, at, SEEK_HOLE)), size);
        if (end <= static_cast<std::uint64_t>(at)) {
            return fail_errno(ErrorKind::host, "lseek", ENODEV, "of the virtual host's RAM");  // a device: no data, and no end of it
        }
        for (std::uint64_t from = static_cast<std::uint64_t>(at) / page_bytes * page_bytes; from < end; from += buffer.size()) {
            const std::uint64_t bytes = (std::min(end - from, buffer.size()) + page_bytes - 1) / page_bytes * page_bytes;
            STACKRIG_TRY(read_at(file, std::span(buffer).first(bytes), from));
            for (std::uint64_t first = 0; first < bytes;) {
                std::uint64_t last = first;
                while (last < bytes && !all_zero(buffer.data() + last)) {
                    last += page_bytes;
                }
                if (last > first) {
                    STACKRIG_TRY(use(from + first, std::string_view(buffer.data() + first, last - first)));
                }
                first = last + page_bytes;  // the page at `last`, if there is one, is all zeros
            }
        }
        at = static_cast<off_t>(end);
    }
    return {};
}

Result<void> write_at(int file, std::string_view bytes, std::uint64_t at) {
    while (!bytes.empty()) {
        const ssize_t n = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(at));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return fail_errno(ErrorKind::host, "pwrite", errno, "of the virtual host's saved state");
        }
        bytes.remove_prefix(static_cast<std::size_t>(n));
        at += static_cast<std::uint64_t>(n);
    }
    return {};
}

Result<std::string> read_range(int file, std::uint64_t from, std::uint64_t to) {
    std::string bytes(to - from, '\0');
    if (::pread(file, bytes.data(), bytes.size(), static_cast<off_t>(from)) != static_cast<ssize_t>(bytes.size())) {
        return fail(ErrorKind::host, "it is cut off");
    }
    return bytes;
}

Result<std::uint64_t> size_of(int file) {
    struct stat info {};
    if (::fstat(file, &info) != 0) {
        return fail_errno(ErrorKind::host, "fstat");
    }
    return static_cast<std::uint64_t>(info.st_size);
}

/// A sum over RAM, page by page in any order: file systems differ in what they call a hole.
class RamSum {
  public:
    void add(std::uint64_t at, std::string_view pages) {
        for (; !pages.empty(); pages.remove_prefix(page_bytes), at += page_bytes) {
            sum_ += mix(at + 1, sum_of(pages.data(), page_bytes));
        }
    }
    /// With all that is behind RAM, the footer aside.
    [[nodiscard]] std::uint64_t with(std::string_view rest) const { return mix(sum_, sum_of(rest.data(), rest.size())); }

  private:
    std::uint64_t sum_ = 0;
};

Result<StateFacts> facts_of(std::string_view text) {
    const Json json = Json::parse(text, nullptr, false);
    if (!json.is_object()) {
        return fail(ErrorKind::host, "it holds no facts");
    }
    return StateFacts{json.value("kernel", ""), json.value("files", HeldFiles{})};
}

}  // namespace

Result<std::string> identity_of(const std::string& path) {
    struct stat info {};
    std::error_code error;
    const fs::path whole = fs::canonical(path, error);
    if (error || ::stat(whole.c_str(), &info) != 0) {
        return fail_errno(ErrorKind::host, "stat", errno, fmt::format("for {}", path));
    }
    return fmt::format("{} {} {}.{:09}", whole.string(), info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
}

StateFolder::StateFolder(std::string folder, std::string flavour, const std::string& depends_on, std::uint64_t ram_bytes)
    : folder_(std::move(folder)), flavour_(std::move(flavour)),
      name_(fmt::format("{}-{:016x}", flavour_, sum_of(depends_on.data(), depends_on.size()))), path_(folder_ + "/" + name_), ram_bytes_(ram_bytes) {}

Result<std::optional<SavedState>> StateFolder::find() const {
    SavedState state{.ram = OwnedFd(::open(path_.c_str(), O_RDWR | O_CLOEXEC)), .devices = {}};
    if (!state.ram.valid() && errno == ENOENT) {
        return std::nullopt;
    }
    if (!state.ram.valid()) {
        return fail_errno(ErrorKind::host, "open");
    }
    // By the descriptor, not by the name, which may be another file's by now.
    state.devices = OwnedFd(::open(fmt::format("/proc/self/fd/{}", state.ram.get()).c_str(), O_RDONLY | O_CLOEXEC));
    if (::lseek(state.devices.get(), static_cast<off_t>(ram_bytes_), SEEK_SET) < 0) {
        return fail_errno(ErrorKind::host, "lseek");
    }
    return std::optional(std::move(state));
}

Result<StateFacts> StateFolder::check(const SavedState& state) const {
    const int file = state.ram.get();
    STACKRIG_TRY_ASSIGN(const std::uint64_t size, size_of(file));
    Footer footer{};
    if (size < ram_bytes_ + sizeof footer) {
        return fail(ErrorKind::host, fmt::format("it is cut off at {} bytes", size));
    }
    STACKRIG_TRY_ASSIGN(const std::string end, read_range(file, size - sizeof footer, size));
    std::memcpy(&footer, end.data(), sizeof footer);
    if (footer.magic != footer_magic || footer.facts_at < ram_bytes_ || footer.facts_at > size - sizeof footer) {
        return fail(ErrorKind::host, "it does not end as a saved state does");
    }
    STACKRIG_TRY_ASSIGN(const std::string rest, read_range(file, ram_bytes_, size - sizeof footer));
    RamSum sum;
    STACKRIG_TRY(each_stretch(file, ram_bytes_, [&sum](std::uint64_t at, std::string_view pages) -> Result<void> {
        sum.add(at, pages);
        return {};
    }));
    if (sum.with(rest) != footer.sum) {
        return fail(ErrorKind::host, "its checksum is wrong");
    }
    return facts_of(std::string_view(rest).substr(footer.facts_at - ram_bytes_));
}

Result<OwnedFd> StateFolder::lock(Deadline deadline) const {
    std::error_code error;
    fs::create_directories(folder_, error);
    OwnedFd file(::open((folder_ + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (!file.valid()) {
        return fail_errno(ErrorKind::host, "open", errno, fmt::format("for {}/lock", folder_));
    }
    while (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK || std::chrono::steady_clock::now() > deadline) {
            return fail_errno(ErrorKind::host, "flock", errno, fmt::format("of {}/lock: somebody else has been saving for long", folder_));
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return file;
}

Result<OwnedFd> StateFolder::create() const {
    OwnedFd file(::open(folder_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0644));
    if (!file.valid()) {
        return fail_errno(ErrorKind::host, "open", errno, fmt::format("of an unnamed file (O_TMPFILE) in {}", folder_));
    }
    if (::lseek(file.get(), static_cast<off_t>(ram_bytes_), SEEK_SET) < 0) {
        return fail_errno(ErrorKind::host, "lseek");
    }
    return file;
}

Result<void> StateFolder::commit(int file, int ram, const StateFacts& facts) const {
    STACKRIG_TRY_ASSIGN(const std::uint64_t facts_at, size_of(file));
    const std::string text = Json{{"kernel", facts.kernel}, {"files", facts.files}}.dump();
    STACKRIG_TRY(write_at(file, text, facts_at));
    RamSum sum;
    STACKRIG_TRY(each_stretch(ram, ram_bytes_, [&](std::uint64_t at, std::string_view pages) {
        sum.add(at, pages);
        return write_at(file, pages, at);
    }));
    STACKRIG_TRY_ASSIGN(const std::string rest, read_range(file, ram_bytes_, facts_at + text.size()));
    const Footer footer{footer_magic, facts_at, sum.with(rest)};
    STACKRIG_TRY(write_at(file, {reinterpret_cast<const char*>(&footer), sizeof footer}, facts_at + text.size()));
    remove_stale();
    if (::linkat(AT_FDCWD, fmt::format("/proc/self/fd/{}", file).c_str(), AT_FDCWD, path_.c_str(), AT_SYMLINK_FOLLOW) != 0) {
        return fail_errno(ErrorKind::host, "linkat", errno, fmt::format("to {}", path_));
    }
    return {};
}

void StateFolder::remove() const { ::unlink(path_.c_str()); }

void StateFolder::remove_stale() const {
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder_, error)) {
        if (entry.path().filename().string().starts_with(flavour_ + "-")) {
            fs::remove(entry.path(), error);
        }
    }
}

}  // namespace stackrig::host
