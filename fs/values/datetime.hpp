// datetime64 and timedelta64: counts of a unit since 1970, as text and back.
//
// Proleptic Gregorian calendar without leap seconds or time zones, years of 64 bits. Port of
// numpy/core/src/multiarray/datetime.c and datetime_strings.c. Stateless.
#pragma once

#include <cstdint>
#include <limits>
#include <shm/error.hpp>
#include <string>
#include <string_view>

namespace arrayfs {

/// Not a time.
inline constexpr std::int64_t kNaT = std::numeric_limits<std::int64_t>::min();

enum class TimeUnit {
  kYear,
  kMonth,
  kWeek,
  kDay,
  kHour,
  kMinute,
  kSecond,
  kMilli,
  kMicro,
  kNano,
  kPico,
  kFemto,
  kAtto,
  kGeneric
};

/// The unit of a dtype: `25s` is {kSecond, 25}.
struct TimeStep {
  TimeUnit unit = TimeUnit::kGeneric;
  std::int64_t count = 1;
};

/// Reads Dtype::unit(). Requires: a unit that libshm accepted.
[[nodiscard]] TimeStep time_step(std::string_view unit);

/// numpy.datetime_as_string: `2020-01-01T12:30`, as fine as the unit; `NaT`, also for every value
/// in the generic unit, which no calendar can tell.
[[nodiscard]] std::string datetime_text(std::int64_t value, TimeStep step);

/// str(numpy.timedelta64): `50 seconds`.
[[nodiscard]] std::string timedelta_scalar_text(std::int64_t value, TimeStep step);

/// The value of `2020-01-01T12:30:15.5`, or a shorter form of it, or `NaT`, rounded down to the
/// unit. Errors: EINVAL (grammar, calendar), ERANGE (not within 64 bits of that unit).
[[nodiscard]] shm::Result<std::int64_t> parse_datetime(std::string_view text, TimeStep step);

}  // namespace arrayfs
