// Lines of the log as entries of the system's journal, each with its fields.
//
// Speaks the journal's own protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/): one datagram an
// entry. sd_journal_send(3), and with it spdlog's systemd_sink, waits while the journal's queue is
// full; here a line that it does not take at once is lost and counted, so that no thread of the
// daemon ever waits for its log. Any thread.
#pragma once

#include <spdlog/sinks/base_sink.h>

#include <cstdint>
#include <mutex>
#include <shm/posix.hpp>
#include <string>
#include <string_view>

namespace arrayfs {

class JournaldSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  static constexpr char kSocket[] = "/run/systemd/journal/socket";

  /// Sends to the datagram socket `path`, which may come and go.
  JournaldSink(const std::string& path, std::string mountpoint);

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override;
  void flush_() override {}

 private:
  std::string path_;
  std::string mountpoint_;
  shm::posix::Fd socket_;
  std::uint64_t lost_ = 0;  ///< lines since the last that was taken
};

/// Whether standard error leads to the journal, as $JOURNAL_STREAM says of services.
[[nodiscard]] bool stderr_is_journal();

}  // namespace arrayfs
