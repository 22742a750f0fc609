#include "log.hpp"

#include <fcntl.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <shm/posix.hpp>

#include "journald_sink.hpp"
#include "text.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;

thread_local const LogFields* line_fields = nullptr;  // while log_line() runs

timespec timespec_of(spdlog::log_clock::time_point time) {
  using std::chrono::nanoseconds;
  const auto since = std::chrono::duration_cast<nanoseconds>(time.time_since_epoch()).count();
  return {since / 1'000'000'000, since % 1'000'000'000};
}

std::string_view view_of(const spdlog::string_view_t& text) {
  return {text.data(), text.size()};
}

class JsonFormatter final : public spdlog::formatter {
 public:
  JsonFormatter(std::string mountpoint, std::string end)
      : mountpoint_(std::move(mountpoint)), end_(std::move(end)) {}

  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& line) override {
    const LogFields& fields = fields_at_hand();
    nlohmann::ordered_json json{
        {"time", utc_time(timespec_of(message.time))},
        {"level", view_of(spdlog::level::to_string_view(message.level))},
        {"mount", mountpoint_},
        {"message", view_of(message.payload)},
    };
    if (!fields.path.empty()) {
      json["path"] = fields.path;
    }
    if (fields.pid != 0) {
      json["pid"] = fields.pid;
    }
    if (fields.code != 0) {
      json["errno"] = fields.code;
    }
    const std::string text =
        json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + end_;
    line.append(text.data(), text.data() + text.size());
  }

  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>(mountpoint_, end_);
  }

 private:
  std::string mountpoint_;
  std::string end_;
};

class TextFormatter final : public spdlog::formatter {
 public:
  TextFormatter(std::string pattern, std::string end)
      : pattern_(std::move(pattern)),
        end_(std::move(end)),
        formatter_(pattern_, spdlog::pattern_time_type::local, end_) {}

  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& line) override {
    const std::string text = printable(view_of(message.payload));
    spdlog::details::log_msg shown = message;
    shown.payload = text;
    formatter_.format(shown, line);
    message.color_range_start = shown.color_range_start;
    message.color_range_end = shown.color_range_end;
  }

  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<TextFormatter>(pattern_, end_);
  }

 private:
  std::string pattern_;
  std::string end_;
  spdlog::pattern_formatter formatter_;
};

bool goes_to_journal(const MountConfig& config) {
  return config.log_file.empty() && config.foreground && stderr_is_journal();
}

std::unique_ptr<spdlog::formatter> formatter_for(const MountConfig& config, const char* pattern,
                                                 const char* end) {
  return config.log_format == "json" ? make_json_formatter(config.mountpoint, end)
                                     : make_text_formatter(pattern, end);
}

// Requires: a file that it names can be written.
spdlog::sink_ptr make_sink(const MountConfig& config) {
  if (goes_to_journal(config)) {
    return std::make_shared<JournaldSink>(JournaldSink::kSocket, config.mountpoint);
  }
  constexpr char kFull[] = "%+";  // time, name, level and message
  spdlog::sink_ptr sink;
  if (!config.log_file.empty()) {
    sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(config.log_file);
  } else if (config.foreground) {
    sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  } else {
    sink = std::make_shared<spdlog::sinks::syslog_sink_mt>("arrayfs", LOG_PID, LOG_DAEMON, true);
    sink->set_formatter(formatter_for(config, "%v", ""));
    return sink;
  }
  sink->set_formatter(formatter_for(config, kFull, "\n"));
  return sink;
}

}  // namespace

Result<void> open_log(const MountConfig& config, const State& state) {
  if (!config.log_file.empty()) {
    const shm::posix::Fd writable(
        open(config.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (!writable.valid()) {
      return fail(errno, "--log-file " + config.log_file);
    }
  }
  auto logger = std::make_shared<spdlog::logger>("arrayfs", make_sink(config));
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
  obey_log_level(config, state);
  return {};
}

std::string log_destination(const MountConfig& config) {
  if (!config.log_file.empty()) {
    return config.log_file;
  }
  if (!config.foreground) {
    return "syslog";
  }
  return goes_to_journal(config) ? "journal" : "stderr";
}

std::string log_level() {
  const auto name = spdlog::level::to_string_view(spdlog::get_level());
  return {name.data(), name.size()};
}

bool keep_log_level(State& state, int level) {
  if (level < 0 || static_cast<size_t>(level) >= kLogLevels.size()) {
    return false;
  }
  state.supervision.log_level = static_cast<std::uint32_t>(level) + 1;
  return true;
}

void obey_log_level(const MountConfig& config, const State& state) {
  const std::uint32_t kept = state.supervision.log_level;
  const bool changed = kept != 0 && kept <= kLogLevels.size();
  spdlog::set_level(spdlog::level::from_str(changed ? kLogLevels[kept - 1] : config.log_level));
}

void log_line(spdlog::level::level_enum level, const std::string& text, const LogFields& fields) {
  line_fields = &fields;
  spdlog::log(level, "{}", text);
  line_fields = nullptr;
}

const LogFields& fields_at_hand() {
  static const LogFields none;
  return line_fields != nullptr ? *line_fields : none;
}

std::unique_ptr<spdlog::formatter> make_json_formatter(std::string mountpoint, std::string end) {
  return std::make_unique<JsonFormatter>(std::move(mountpoint), std::move(end));
}

std::unique_ptr<spdlog::formatter> make_text_formatter(std::string pattern, std::string end) {
  return std::make_unique<TextFormatter>(std::move(pattern), std::move(end));
}

}  // namespace arrayfs
