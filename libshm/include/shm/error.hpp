// The error of this project: a positive errno and one line of context.
//
// Both edges of the program speak errno (FUSE replies, the C ABI), so the errno is kept as it was
// and travels with the path or the name that it is about. Values are plain and may be shared
// between threads.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace shm {

struct Error {
  int code;             ///< positive errno
  std::string context;  ///< what, which path; no trailing newline, may be empty
};

template <typename T>
using Result = tl::expected<T, Error>;

/// An error to return from a function whose result is Result<T>.
[[nodiscard]] inline tl::unexpected<Error> fail(int code, std::string context = {}) {
  return tl::unexpected<Error>(Error{code, std::move(context)});
}

/// `context: strerror(code)`, for a message to a person.
[[nodiscard]] std::string to_string(const Error& error);

}  // namespace shm
