#include <algorithm>
#include <shm/dtype.hpp>
#include <xtl/xplatform.hpp>

#include "literal.hpp"

namespace shm {
namespace {

ByteOrder native_order() {
  static const ByteOrder order =
      xtl::endianness() == xtl::endian::big_endian ? ByteOrder::kBig : ByteOrder::kLittle;
  return order;
}

std::shared_ptr<const std::vector<Field>> no_fields() {
  static const auto none = std::make_shared<const std::vector<Field>>();
  return none;
}

bool same_field(const Field& a, const Field& b) {
  return a.name == b.name && a.title == b.title && a.dtype == b.dtype && a.shape == b.shape &&
         a.offset == b.offset && a.itemsize == b.itemsize;
}

std::string padding(std::uint64_t size_bytes) {
  return "('', '|V" + std::to_string(size_bytes) + "')";
}

std::string field_descr(const Field& field) {
  const std::string name = python_repr(field.name);
  std::string out = "(";
  out += field.title.empty() ? name : "(" + python_repr(field.title) + ", " + name + ")";
  out += ", " + field.dtype.descr();
  if (!field.shape.empty()) out += ", " + python_tuple(field.shape);
  return out + ")";
}

/// The list that numpy.core._internal._array_descr makes: gaps become nameless void fields.
std::string struct_descr(const std::vector<Field>& fields, std::uint64_t itemsize) {
  std::string out = "[";
  const auto add = [&out](const std::string& entry) {
    if (out.size() > 1) out += ", ";
    out += entry;
  };
  std::uint64_t end = 0;
  for (const Field& field : fields) {
    if (field.offset > end) add(padding(field.offset - end));
    add(field_descr(field));
    end = field.offset + field.itemsize;
  }
  if (itemsize > end) add(padding(itemsize - end));
  return out + "]";
}

}  // namespace

Dtype::Dtype()
    : kind_(Kind::kFloat), byte_order_(native_order()), itemsize_(8), fields_(no_fields()) {}

bool Dtype::is_object() const {
  return kind_ == Kind::kObject ||
         std::any_of(fields_->begin(), fields_->end(),
                     [](const Field& field) { return field.dtype.is_object(); });
}

bool Dtype::is_alias() const {
  return !alias_.empty() || std::any_of(fields_->begin(), fields_->end(),
                                        [](const Field& field) { return field.dtype.is_alias(); });
}

bool Dtype::is_native() const {
  return (byte_order_ == ByteOrder::kNone || byte_order_ == native_order()) &&
         std::all_of(fields_->begin(), fields_->end(),
                     [](const Field& field) { return field.dtype.is_native(); });
}

std::string Dtype::typestr() const {
  if (alias_ == "bfloat16") return "<V2";  // as ml_dtypes writes it
  if (kind_ == Kind::kObject) return "|O";
  const char letter = kind_ == Kind::kStruct ? 'V' : static_cast<char>(kind_);
  const std::uint64_t count = kind_ == Kind::kUnicode ? itemsize_ / 4 : itemsize_;
  std::string out{static_cast<char>(byte_order_), letter};
  out += std::to_string(count);
  return unit_.empty() ? out : out + "[" + unit_ + "]";
}

std::string Dtype::descr() const {
  return kind_ == Kind::kStruct ? struct_descr(*fields_, itemsize_) : "'" + typestr() + "'";
}

std::string Dtype::name() const {
  if (!alias_.empty()) return alias_;
  if (kind_ == Kind::kStruct) return descr();
  if (!is_native()) return typestr();
  const std::string bits = std::to_string(itemsize_ * 8);
  const std::string unit = unit_.empty() ? "" : "[" + unit_ + "]";
  switch (kind_) {
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int" + bits;
    case Kind::kUint:
      return "uint" + bits;
    case Kind::kFloat:
      return "float" + bits;
    case Kind::kComplex:
      return "complex" + bits;
    case Kind::kTimedelta:
      return "timedelta64" + unit;
    case Kind::kDatetime:
      return "datetime64" + unit;
    case Kind::kObject:
      return "object";
    case Kind::kBytes:
    case Kind::kUnicode:
    case Kind::kVoid:
    case Kind::kStruct:
      break;
  }
  return typestr();
}

bool operator==(const Dtype& a, const Dtype& b) {
  return a.kind_ == b.kind_ && a.byte_order_ == b.byte_order_ && a.itemsize_ == b.itemsize_ &&
         a.unit_ == b.unit_ &&
         std::equal(a.fields_->begin(), a.fields_->end(), b.fields_->begin(), b.fields_->end(),
                    same_field);
}

}  // namespace shm
