#include <fmt/format.h>

#include <string>

#include "core/hash.h"
#include "headstart/dataset.h"

namespace headstart {
namespace {

// Every field goes in with its length or fixed width, so that no two catalogues run together to the same bytes.
class Accumulator {
 public:
  void add(std::uint64_t number) {
    for (int shift = 0; shift < 64; shift += 8) bytes_.push_back(static_cast<char>((number >> shift) & 0xFF));
    if (bytes_.size() >= kBlock) fold();
  }
  void add(std::string_view text) {
    add(text.size());
    bytes_.append(text);
  }
  std::uint64_t finish() {
    fold();
    return value_;
  }

 private:
  static constexpr std::size_t kBlock = 1 << 16;
  void fold() {
    value_ = fast_hash(std::string_view(bytes_), value_);
    bytes_.clear();
  }
  std::string bytes_;
  std::uint64_t value_ = 0;
};

}  // namespace

std::string fingerprint(const Catalog& catalog) {
  Accumulator accumulator;
  accumulator.add(catalog.classes.size());
  for (const std::string& name : catalog.classes) accumulator.add(name);
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
    const std::vector<Sample>& samples = catalog.samples(split);
    accumulator.add(samples.size());
    for (const Sample& sample : samples) {
      accumulator.add(sample.path);
      accumulator.add(static_cast<std::uint64_t>(sample.label));
      accumulator.add(sample.bytes);
      accumulator.add(static_cast<std::uint64_t>(sample.mtime_ns));
    }
  }
  return fmt::format("{:016x}", accumulator.finish());
}

}  // namespace headstart
