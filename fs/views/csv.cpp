// `csv/PATH.csv`: the values of an array of up to two axes, a line a row, made while they are read.
//
// The text is made forwards, some thousand elements at a time. Where it has been is remembered at
// intervals, so that a read further back begins close by; the memory of a stream is bounded.
#include <algorithm>
#include <cerrno>

#include "csv_text.hpp"
#include "element_reader.hpp"
#include "formats.hpp"

namespace arrayfs {
namespace {

using shm::Result;

constexpr std::uint64_t kChunkBytes = 128U << 10;  // of elements
constexpr std::size_t kMaxMarks = 4096;
constexpr std::uint64_t kFirstInterval = 1U << 20;  // bytes of text between marks

class CsvStream final : public ViewStream {
 public:
  CsvStream(ArrayFile file, shm::Layout layout, CsvText text)
      : file_(std::move(file)),
        reader_(file_.fd.get(), std::move(layout)),
        text_(std::move(text)),
        elements_(reader_.layout().size()),
        itemsize_(reader_.layout().dtype.itemsize()),
        chunk_elements_(
            std::max<std::uint64_t>(1, kChunkBytes / std::max<std::uint64_t>(1, itemsize_))) {
    rewind({});
  }

  Result<std::size_t> read(std::uint64_t offset, std::span<char> buffer) override {
    if (offset < begin_) {
      const auto after = std::ranges::upper_bound(marks_, offset, {}, &Mark::offset);
      rewind(after == marks_.begin() ? Mark{} : *(after - 1));
    }
    std::size_t done = 0;
    while (done < buffer.size()) {
      const std::uint64_t wanted = offset + done;
      if (wanted - begin_ < chunk_.size()) {
        done += chunk_.copy(buffer.data() + done, buffer.size() - done, wanted - begin_);
        continue;
      }
      if (next_ == elements_) {
        break;
      }
      if (auto made = make_next(); !made) {
        return tl::unexpected(made.error());
      }
    }
    return done;
  }

 private:
  // The text from `offset` on begins with this element.
  struct Mark {
    std::uint64_t offset = 0;
    std::uint64_t element = 0;
  };

  void rewind(const Mark& mark) {
    begin_ = mark.offset;
    next_ = mark.element;
    chunk_.clear();
    if (mark.offset == 0) {
      chunk_ = text_.heading();
    }
  }

  void remember(const Mark& mark) {
    if (mark.offset < (marks_.empty() ? interval_ : marks_.back().offset + interval_)) {
      return;
    }
    if (marks_.size() == kMaxMarks) {
      for (std::size_t i = 0; i < kMaxMarks / 2; ++i) {
        marks_[i] = marks_[2 * i + 1];
      }
      marks_.resize(kMaxMarks / 2);
      interval_ *= 2;
    }
    marks_.push_back(mark);
  }

  Result<void> make_next() {
    const std::uint64_t count = std::min(chunk_elements_, elements_ - next_);
    bytes_.resize(static_cast<std::size_t>(count * itemsize_));
    if (auto got = reader_.read(next_ * itemsize_, bytes_); !got) {
      return got;
    }
    begin_ += chunk_.size();
    remember({begin_, next_});
    chunk_.clear();
    const std::uint64_t per_line = text_.elements_per_line();
    std::uint64_t column = next_ % per_line;
    for (std::uint64_t i = 0; i < count; ++i) {
      text_.append(chunk_, bytes_.data() + i * itemsize_);
      const bool last = ++column == per_line;
      chunk_ += last ? '\n' : ',';
      column = last ? 0 : column;
    }
    next_ += count;
    return {};
  }

  ArrayFile file_;
  ElementReader reader_;
  CsvText text_;
  std::uint64_t elements_;
  std::uint64_t itemsize_;
  std::uint64_t chunk_elements_;

  std::string chunk_;             ///< text that was made last
  std::uint64_t begin_ = 0;       ///< its offset
  std::uint64_t next_ = 0;        ///< the element after it
  std::vector<std::byte> bytes_;  ///< of its elements
  std::vector<Mark> marks_;       ///< by offset
  std::uint64_t interval_ = kFirstInterval;
};

class Csv final : public View {
 public:
  [[nodiscard]] std::string_view directory() const override { return "csv"; }
  [[nodiscard]] std::string_view suffix() const override { return ".csv"; }
  [[nodiscard]] bool is_slow() const override { return true; }
  [[nodiscard]] OpenedStream open(ViewInput input) const override {
    return layout_to_show(input.file).and_then([&](const shm::Layout& layout) {
      return CsvText::of(layout).map([&](CsvText text) {
        return std::unique_ptr<ViewStream>(
            std::make_unique<CsvStream>(std::move(input.file), layout, std::move(text)));
      });
    });
  }
};

}  // namespace

std::unique_ptr<const View> make_csv_view() {
  return std::make_unique<Csv>();
}

}  // namespace arrayfs
