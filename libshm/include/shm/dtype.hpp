// The element type of an array: NumPy's dtype, without values.
//
// Covers bool, int and uint 8 to 64, float 16/32/64/128, complex 64/128/256, bytes (S), unicode
// (U), datetime64, timedelta64, void, structured types (nested, sub-arrays, titles, padding) and
// object, in both byte orders. A Dtype is an immutable value, safe to share between threads.
// Source of the grammar: numpy/lib/format.py (descr_to_dtype, dtype_to_descr) and
// numpy/core/_dtype.py.
#pragma once

#include <cstdint>
#include <memory>
#include <shm/error.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace shm {

/// NumPy's kind character, except that a structured type has its own kind.
enum class Kind : char {
  kBool = 'b',
  kInt = 'i',
  kUint = 'u',
  kFloat = 'f',
  kComplex = 'c',
  kTimedelta = 'm',
  kDatetime = 'M',
  kObject = 'O',
  kBytes = 'S',
  kUnicode = 'U',
  kVoid = 'V',
  kStruct = 'T',
};

enum class ByteOrder : char { kLittle = '<', kBig = '>', kNone = '|' };

/// The extents of an array, outermost axis first.
using Shape = std::vector<std::uint64_t>;

struct Field;

class Dtype {
 public:
  /// float64 in this machine's byte order.
  Dtype();

  /// A dtype from what a person writes: `float32`, `<f4`, `complex128`, `datetime64[ns]`, `S10`,
  /// `U4`, `V16`, `bool`, `bfloat16`, `float8_e4m3fn`, or a descr list such as
  /// `[('a', '<i4'), ('b', '<f8', (3,))]`.
  /// Errors: EINVAL with the reason. Never throws, never recurses beyond a fixed depth.
  [[nodiscard]] static Result<Dtype> parse(std::string_view text);

  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] ByteOrder byte_order() const { return byte_order_; }
  /// Bytes of one element; 0 is possible (S0, U0, V0, an empty struct).
  [[nodiscard]] std::uint64_t itemsize() const { return itemsize_; }
  /// `ns`, `25s`, ... of datetime64 and timedelta64; empty for the generic unit and other kinds.
  [[nodiscard]] const std::string& unit() const { return unit_; }
  /// Fields by offset; empty unless kind() is kStruct.
  [[nodiscard]] const std::vector<Field>& fields() const { return *fields_; }
  [[nodiscard]] bool is_object() const;  ///< an object dtype, or a struct that contains one
  /// Whether it was parsed from bfloat16 or a float8 name, or a field of it was: NumPy alone has no
  /// such dtype, and reads what typestr() says.
  [[nodiscard]] bool is_alias() const;
  [[nodiscard]] bool is_native() const;  ///< no byte of it needs swapping on this machine

  /// NumPy's `dtype.str`: `<f8`, `|S5`, `<M8[ns]`, `|V12` for a struct.
  [[nodiscard]] std::string typestr() const;
  /// The Python literal that NumPy writes after `'descr': `, e.g. `'<f8'` or `[('a', '<i4')]`.
  [[nodiscard]] std::string descr() const;
  /// What a person reads: `float64`, `>f8` when byte-swapped, `datetime64[ns]`, `<U4`, the descr
  /// list of a struct; `bfloat16` and the float8 names where the dtype was parsed from those.
  [[nodiscard]] std::string name() const;

  /// Same bytes mean the same values: kind, byte order, size, unit, fields.
  friend bool operator==(const Dtype& a, const Dtype& b);

 private:
  friend class DtypeBuilder;

  Kind kind_;
  ByteOrder byte_order_;
  std::uint64_t itemsize_;
  std::string unit_;
  std::string alias_;  ///< bfloat16, float8_*: a name that the typestr cannot carry
  std::shared_ptr<const std::vector<Field>> fields_;
};

/// One field of a structured dtype.
struct Field {
  std::string name;        ///< UTF-8
  std::string title;       ///< UTF-8, empty when there is none
  Dtype dtype;             ///< of one element of the sub-array
  Shape shape;             ///< of the sub-array; empty for a plain field
  std::uint64_t offset;    ///< bytes from the start of the struct
  std::uint64_t itemsize;  ///< bytes of the field, its sub-array included
};

}  // namespace shm
