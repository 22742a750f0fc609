#include "journald_sink.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>

#include "log.hpp"

namespace arrayfs {
namespace {

// Far below what a datagram may hold; no path is so long, and of a text the start tells most.
constexpr std::size_t kMaxValueBytes = 16 << 10;

// A value with a newline goes behind its size, little endian; any other behind `=`.
void add_field(std::string& entry, std::string_view key, std::string_view value) {
  value = value.substr(0, kMaxValueBytes);
  entry += key;
  if (value.find('\n') == std::string_view::npos) {
    entry += '=';
  } else {
    entry += '\n';
    for (int shift = 0; shift < 64; shift += 8) {
      entry += static_cast<char>(static_cast<std::uint64_t>(value.size()) >> shift);
    }
  }
  entry += value;
  entry += '\n';
}

int priority_of(spdlog::level::level_enum level) {
  static constexpr std::array<int, spdlog::level::n_levels> kPriorities{
      LOG_DEBUG, LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR, LOG_CRIT, LOG_INFO};
  return kPriorities.at(static_cast<std::size_t>(level));
}

}  // namespace

JournaldSink::JournaldSink(const std::string& path, std::string mountpoint)
    : path_(path),
      mountpoint_(std::move(mountpoint)),
      socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {}

void JournaldSink::sink_it_(const spdlog::details::log_msg& message) {
  const LogFields& fields = fields_at_hand();
  std::string entry;
  add_field(entry, "MESSAGE", {message.payload.data(), message.payload.size()});
  add_field(entry, "PRIORITY", std::to_string(priority_of(message.level)));
  add_field(entry, "SYSLOG_IDENTIFIER", "arrayfs");
  add_field(entry, "ARRAYFS_MOUNT", mountpoint_);
  if (!fields.path.empty()) {
    add_field(entry, "ARRAYFS_PATH", fields.path);
  }
  if (fields.pid != 0) {
    add_field(entry, "OBJECT_PID", std::to_string(fields.pid));
  }
  if (fields.code != 0) {
    add_field(entry, "ERRNO", std::to_string(fields.code));
  }
  if (lost_ != 0) {
    add_field(entry, "ARRAYFS_LOST_LINES", std::to_string(lost_));
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path_.copy(address.sun_path, sizeof address.sun_path - 1);
  // To the address each time: the journal may be started again meanwhile.
  const bool taken = sendto(socket_.get(), entry.data(), entry.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                            reinterpret_cast<const sockaddr*>(&address), sizeof address) >= 0;
  lost_ = taken ? 0 : lost_ + 1;
}

bool stderr_is_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat st {};
  return stream != nullptr && fstat(STDERR_FILENO, &st) == 0 &&
         fmt::format("{}:{}", st.st_dev, st.st_ino) == stream;
}

}  // namespace arrayfs
