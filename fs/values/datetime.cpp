#include "values/datetime.hpp"

#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <optional>

namespace arrayfs {
namespace {

struct UnitName {
  std::string_view symbol;
  std::string_view plural;
};

/// By TimeUnit.
constexpr std::array<UnitName, 14> kUnitNames = {{{"Y", "years"},
                                                  {"M", "months"},
                                                  {"W", "weeks"},
                                                  {"D", "days"},
                                                  {"h", "hours"},
                                                  {"m", "minutes"},
                                                  {"s", "seconds"},
                                                  {"ms", "milliseconds"},
                                                  {"us", "microseconds"},
                                                  {"ns", "nanoseconds"},
                                                  {"ps", "picoseconds"},
                                                  {"fs", "femtoseconds"},
                                                  {"as", "attoseconds"},
                                                  {"", "generic time units"}}};

constexpr std::int64_t kSecondsPerDay = 86'400;
constexpr std::int64_t kAttosPerSecond = 1'000'000'000'000'000'000;
constexpr int kMaxFractionDigits = 18;

/// A moment: days since 1970-01-01 and the time of that day.
struct Moment {
  std::int64_t days = 0;
  std::int64_t seconds = 0;  ///< of the day
  std::int64_t attos = 0;    ///< of the second
};

struct Date {
  std::int64_t year = 1970;
  unsigned month = 1;
  unsigned day = 1;
};

struct Quotient {
  std::int64_t floor;
  std::int64_t remainder;  ///< never negative
};

Quotient divide(std::int64_t value, std::int64_t by) {
  Quotient result{value / by, value % by};
  if (result.remainder < 0) {
    result.remainder += by;
    --result.floor;
  }
  return result;
}

/// As NumPy multiplies: without a check, modulo 2^64.
std::int64_t wrapping_multiply(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
}

/// Units in a second. Requires: kSecond or finer.
std::int64_t per_second(TimeUnit unit) {
  std::int64_t result = 1;
  for (int finer = static_cast<int>(TimeUnit::kSecond); finer < static_cast<int>(unit); ++finer) {
    result *= 1000;
  }
  return result;
}

/// Seconds in a unit. Requires: kHour to kSecond.
std::int64_t seconds_in(TimeUnit unit) {
  return unit == TimeUnit::kHour ? 3600 : unit == TimeUnit::kMinute ? 60 : 1;
}

// The calendar in eras of 400 years that begin on 1 March, after Howard Hinnant,
// "chrono-Compatible Low-Level Date Algorithms" (days_from_civil, civil_from_days).
constexpr std::int64_t kDaysPerEra = 146'097;
constexpr std::int64_t kEpochInEra = 719'468 % kDaysPerEra;  // 1970-01-01
constexpr std::int64_t kErasBeforeEpoch = 719'468 / kDaysPerEra;

Date date_of(std::int64_t days) {
  // The era first, so that no sum leaves 64 bits.
  const auto [whole_eras, day_in_cycle] = divide(days, kDaysPerEra);
  const auto [carry, day_of_era] = divide(day_in_cycle + kEpochInEra, kDaysPerEra);
  const std::int64_t era = whole_eras + carry + kErasBeforeEpoch;
  const std::int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const std::int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t month_from_march = (5 * day_of_year + 2) / 153;
  const std::int64_t day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
  const std::int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
  return {era * 400 + year_of_era + (month <= 2 ? 1 : 0), static_cast<unsigned>(month),
          static_cast<unsigned>(day)};
}

/// Errors: nullopt where the days do not fit 64 bits.
std::optional<std::int64_t> days_of(const Date& date) {
  const std::int64_t year = date.year - (date.month <= 2 ? 1 : 0);
  const auto [era, year_of_era] = divide(year, 400);
  const std::int64_t month_from_march = (date.month + 9) % 12;
  const std::int64_t day_of_year = (153 * month_from_march + 2) / 5 + date.day - 1;
  const std::int64_t day_of_era =
      year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  std::int64_t days = 0;
  if (__builtin_mul_overflow(era - kErasBeforeEpoch, kDaysPerEra, &days) ||
      __builtin_add_overflow(days, day_of_era - kEpochInEra, &days)) {
    return std::nullopt;
  }
  return days;
}

/// Requires: kWeek or finer, not generic.
Moment moment_of(std::int64_t value, TimeUnit unit) {
  if (unit == TimeUnit::kWeek) {
    return {wrapping_multiply(value, 7), 0, 0};
  }
  if (unit == TimeUnit::kDay) {
    return {value, 0, 0};
  }
  if (unit <= TimeUnit::kSecond) {
    const std::int64_t unit_seconds = seconds_in(unit);
    const auto [days, units] = divide(value, kSecondsPerDay / unit_seconds);
    return {days, units * unit_seconds, 0};
  }
  const std::int64_t units_per_second = per_second(unit);
  const auto [total_seconds, units] = divide(value, units_per_second);
  const auto [days, seconds] = divide(total_seconds, kSecondsPerDay);
  return {days, seconds, units * (kAttosPerSecond / units_per_second)};
}

template <typename... Args>
void append(std::string& out, const char* format, Args... args) {
  std::array<char, 32> buffer{};
  const int length = std::snprintf(buffer.data(), buffer.size(), format, args...);
  out.append(buffer.data(), static_cast<std::size_t>(length));
}

}  // namespace

TimeStep time_step(std::string_view unit) {
  TimeStep step;
  const char* const end = unit.data() + unit.size();
  const char* const symbol = std::from_chars(unit.data(), end, step.count).ptr;
  unit.remove_prefix(static_cast<std::size_t>(symbol - unit.data()));
  for (std::size_t index = 0; index < kUnitNames.size(); ++index) {
    if (kUnitNames[index].symbol == unit) {
      step.unit = static_cast<TimeUnit>(index);
    }
  }
  return step;
}

std::string datetime_text(std::int64_t value, TimeStep step) {
  const TimeUnit unit = step.unit;
  if (value == kNaT || unit == TimeUnit::kGeneric) {
    return "NaT";
  }
  value = wrapping_multiply(value, step.count);
  Date date;
  Moment moment;
  if (unit == TimeUnit::kYear) {
    date.year = static_cast<std::int64_t>(static_cast<std::uint64_t>(value) + 1970U);
  } else if (unit == TimeUnit::kMonth) {
    const auto [years, months] = divide(value, 12);
    date = {1970 + years, static_cast<unsigned>(months) + 1, 1};
  } else {
    moment = moment_of(value, unit);
    date = date_of(moment.days);
  }

  std::string out;
  append(out, "%04lld", static_cast<long long>(date.year));
  if (unit == TimeUnit::kYear) {
    return out;
  }
  append(out, "-%02u", date.month);
  if (unit == TimeUnit::kMonth) {
    return out;
  }
  append(out, "-%02u", date.day);
  if (unit <= TimeUnit::kDay) {
    return out;
  }
  append(out, "T%02d", static_cast<int>(moment.seconds / 3600));
  if (unit == TimeUnit::kHour) {
    return out;
  }
  append(out, ":%02d", static_cast<int>(moment.seconds / 60 % 60));
  if (unit == TimeUnit::kMinute) {
    return out;
  }
  append(out, ":%02d", static_cast<int>(moment.seconds % 60));
  if (unit == TimeUnit::kSecond) {
    return out;
  }
  append(out, ".%018lld", static_cast<long long>(moment.attos));
  const int unused_digits = 3 * (static_cast<int>(TimeUnit::kAtto) - static_cast<int>(unit));
  out.resize(out.size() - static_cast<std::size_t>(unused_digits));
  return out;
}

std::string timedelta_scalar_text(std::int64_t value, TimeStep step) {
  if (value == kNaT) {
    return "NaT";
  }
  return std::to_string(wrapping_multiply(value, step.count)) + ' ' +
         std::string(kUnitNames[static_cast<std::size_t>(step.unit)].plural);
}

namespace {

/// Reads an ISO 8601 date and time from its beginning.
class DatetimeParser {
 public:
  explicit DatetimeParser(std::string_view text) : rest_(text) {}

  /// Errors: nullopt (grammar or calendar).
  std::optional<Moment> parse(Date* date) {
    Moment moment;
    if (!year(&date->year) || !date_parts(date)) {
      return std::nullopt;
    }
    if (!rest_.empty()) {
      if (rest_.front() != 'T' && rest_.front() != ' ') {
        return std::nullopt;
      }
      rest_.remove_prefix(1);
      if (!time(&moment)) {
        return std::nullopt;
      }
    }
    return rest_.empty() ? std::optional(moment) : std::nullopt;
  }

 private:
  bool take(char wanted) {
    const bool found = rest_.starts_with(wanted);
    rest_.remove_prefix(found ? 1 : 0);
    return found;
  }

  bool year(std::int64_t* year) {
    if (take('+') && rest_.starts_with('-')) {
      return false;
    }
    // Far years are refused here, so that no sum on the way to days overflows.
    constexpr std::int64_t kMaxYear = std::int64_t{1} << 60U;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), *year);
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return error == std::errc() && *year <= kMaxYear && *year >= -kMaxYear;
  }

  /// Two digits, at most `max`.
  bool two_digits(unsigned max, unsigned* value) {
    if (rest_.size() < 2 || std::isdigit(static_cast<unsigned char>(rest_[0])) == 0 ||
        std::isdigit(static_cast<unsigned char>(rest_[1])) == 0) {
      return false;
    }
    *value = static_cast<unsigned>(rest_[0] - '0') * 10 + static_cast<unsigned>(rest_[1] - '0');
    rest_.remove_prefix(2);
    return *value <= max;
  }

  bool date_parts(Date* date) {
    if (!take('-')) {
      return rest_.empty();
    }
    if (!two_digits(12, &date->month) || date->month == 0) {
      return false;
    }
    if (!take('-')) {
      return rest_.empty();
    }
    return two_digits(days_in_month(*date), &date->day) && date->day != 0;
  }

  static unsigned days_in_month(const Date& date) {
    constexpr std::array<unsigned, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = date.year % 4 == 0 && (date.year % 100 != 0 || date.year % 400 == 0);
    return date.month == 2 && leap ? 29 : kDays[date.month - 1];
  }

  bool time(Moment* moment) {
    unsigned hour = 0;
    unsigned minute = 0;
    unsigned second = 0;
    if (!two_digits(23, &hour)) {
      return false;
    }
    if (take(':')) {
      if (!two_digits(59, &minute)) {
        return false;
      }
      if (take(':') && (!two_digits(59, &second) || !fraction(&moment->attos))) {
        return false;
      }
    }
    moment->seconds = std::int64_t{hour} * 3600 + std::int64_t{minute} * 60 + second;
    return true;
  }

  bool fraction(std::int64_t* attos) {
    if (!take('.')) {
      return true;
    }
    std::int64_t scale = kAttosPerSecond;
    int digits = 0;
    while (!rest_.empty() && std::isdigit(static_cast<unsigned char>(rest_.front())) != 0) {
      if (++digits > kMaxFractionDigits) {
        return false;
      }
      scale /= 10;
      *attos += (rest_.front() - '0') * scale;
      rest_.remove_prefix(1);
    }
    return true;
  }

  std::string_view rest_;
};

/// Units since 1970. Errors: nullopt where they do not fit 64 bits. Requires: not generic.
std::optional<std::int64_t> units_since_epoch(const Date& date, const Moment& time, TimeUnit unit) {
  std::int64_t result = 0;
  if (unit == TimeUnit::kYear) {
    return date.year - 1970;
  }
  if (unit == TimeUnit::kMonth) {
    if (__builtin_mul_overflow(date.year - 1970, 12, &result)) {
      return std::nullopt;
    }
    return result + date.month - 1;
  }
  const std::optional<std::int64_t> days = days_of(date);
  if (!days || unit == TimeUnit::kDay) {
    return days;
  }
  if (unit == TimeUnit::kWeek) {
    return divide(*days, 7).floor;
  }
  if (unit <= TimeUnit::kSecond) {
    const std::int64_t unit_seconds = seconds_in(unit);
    if (__builtin_mul_overflow(*days, kSecondsPerDay / unit_seconds, &result) ||
        __builtin_add_overflow(result, time.seconds / unit_seconds, &result)) {
      return std::nullopt;
    }
    return result;
  }
  const std::int64_t units_per_second = per_second(unit);
  if (__builtin_mul_overflow(*days, kSecondsPerDay, &result) ||
      __builtin_add_overflow(result, time.seconds, &result) ||
      __builtin_mul_overflow(result, units_per_second, &result) ||
      __builtin_add_overflow(result, time.attos / (kAttosPerSecond / units_per_second), &result)) {
    return std::nullopt;
  }
  return result;
}

bool is_nat(std::string_view text) {
  const auto lower = [&](std::size_t index) {
    return std::tolower(static_cast<unsigned char>(text[index]));
  };
  return text.empty() ||
         (text.size() == 3 && lower(0) == 'n' && lower(1) == 'a' && lower(2) == 't');
}

}  // namespace

shm::Result<std::int64_t> parse_datetime(std::string_view text, TimeStep step) {
  if (is_nat(text)) {
    return kNaT;
  }
  if (step.unit == TimeUnit::kGeneric) {
    return shm::fail(EINVAL, "a datetime64 in the generic unit can only be NaT");
  }
  Date date;
  const std::optional<Moment> time = DatetimeParser(text).parse(&date);
  if (!time) {
    return shm::fail(EINVAL, "not a date: '" + std::string(text) + "'");
  }
  const std::optional<std::int64_t> units = units_since_epoch(date, *time, step.unit);
  if (!units) {
    return shm::fail(ERANGE, "the date '" + std::string(text) + "' does not fit the unit");
  }
  return divide(*units, step.count).floor;
}

}  // namespace arrayfs
