#include "cuda/inflate.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "ops/error.h"

namespace flow::cuda {

namespace {

[[noreturn]] void damaged() {
  throw Error(ErrorCode::device, "CUDA: the kernels' file is damaged; install the package again");
}

/// The stream's bits, those of a byte from the lowest on. Behind its end there are zeros.
class Bits {
 public:
  explicit Bits(std::span<const unsigned char> bytes) : bytes_(bytes) {}

  /// The next `count` bits, 16 at most.
  unsigned peek(int count) {
    for (; held_ < count; held_ += 8, at_++) {
      buffer_ |= static_cast<std::uint64_t>(at_ < bytes_.size() ? bytes_[at_] : 0) << held_;
    }
    return static_cast<unsigned>(buffer_) & ((1U << count) - 1);
  }
  void skip(int count) {
    buffer_ >>= count;
    held_ -= count;
  }
  unsigned take(int count) {
    const unsigned bits = peek(count);
    skip(count);
    return bits;
  }
  void skip_to_byte() { skip(held_ % 8); }
  /// Whether bits behind the end were taken.
  bool overrun() const { return at_ > bytes_.size() + static_cast<std::size_t>(held_) / 8; }

 private:
  std::span<const unsigned char> bytes_;
  std::size_t at_ = 0;
  std::uint64_t buffer_ = 0;
  int held_ = 0;
};

/// A canonical Huffman code, as a table over all continuations of each code word.
class Code {
 public:
  explicit Code(std::span<const unsigned char> lengths) {
    std::array<unsigned, 17> next{};  // the next code word of each length
    for (const unsigned char length : lengths) next[length + std::size_t{1}] += length != 0 ? 1 : 0;
    for (std::size_t length = 1; length < next.size(); length++) next[length] = (next[length] + next[length - 1]) << 1;
    bits_ = lengths.empty() ? 0 : *std::ranges::max_element(lengths);
    table_.resize(std::size_t{1} << bits_);
    for (std::size_t symbol = 0; symbol < lengths.size(); symbol++) {
      const int length = lengths[symbol];
      if (length == 0) continue;
      const unsigned word = next[static_cast<std::size_t>(length)]++;
      if (word >> length != 0) damaged();
      unsigned reversed = 0;
      for (int bit = 0; bit < length; bit++) reversed |= (word >> bit & 1U) << (length - 1 - bit);
      for (std::size_t i = reversed; i < table_.size(); i += std::size_t{1} << length) {
        table_[i] = {static_cast<std::uint16_t>(symbol), static_cast<std::uint16_t>(length)};
      }
    }
  }

  unsigned next(Bits& bits) const {
    const Entry entry = table_[bits.peek(bits_)];
    if (entry.length == 0) damaged();
    bits.skip(entry.length);
    return entry.symbol;
  }

 private:
  struct Entry {
    std::uint16_t symbol, length;
  };
  int bits_ = 0;
  std::vector<Entry> table_;
};

struct Codes {
  Code literals, distances;
};

Codes fixed_codes() {
  std::array<unsigned char, 288> lengths{};
  for (std::size_t i = 0; i < lengths.size(); i++) lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
  std::array<unsigned char, 30> distances{};
  distances.fill(5);
  return {Code(lengths), Code(distances)};
}

Codes read_codes(Bits& bits) {
  const std::size_t literals = bits.take(5) + 257, distances = bits.take(5) + 1, count = bits.take(4) + 4;
  constexpr std::array<unsigned char, 19> order{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
  std::array<unsigned char, 19> lengths_of_lengths{};
  for (std::size_t i = 0; i < count; i++) lengths_of_lengths[order[i]] = static_cast<unsigned char>(bits.take(3));
  const Code code(lengths_of_lengths);
  std::vector<unsigned char> lengths;
  while (lengths.size() < literals + distances) {
    const unsigned symbol = code.next(bits);
    if (symbol < 16) {
      lengths.push_back(static_cast<unsigned char>(symbol));
    } else {
      if (symbol == 16 && lengths.empty()) damaged();
      const unsigned char repeated = symbol == 16 ? lengths.back() : 0;
      const unsigned times = symbol == 16 ? 3 + bits.take(2) : symbol == 17 ? 3 + bits.take(3) : 11 + bits.take(7);
      lengths.insert(lengths.end(), times, repeated);
    }
  }
  if (lengths.size() != literals + distances) damaged();
  const std::span all(lengths);
  return {Code(all.first(literals)), Code(all.subspan(literals))};
}

/// Of a match, from the symbol of its length, 0 to 28.
unsigned match_length(unsigned symbol, Bits& bits) {
  if (symbol < 8) return 3 + symbol;
  if (symbol == 28) return 258;
  const int extra = static_cast<int>(symbol / 4) - 1;
  return ((4 + symbol % 4) << extra) + 3 + bits.take(extra);
}

/// From the symbol of its distance, 0 to 29.
unsigned match_distance(unsigned symbol, Bits& bits) {
  if (symbol < 4) return 1 + symbol;
  const int extra = static_cast<int>(symbol / 2) - 1;
  return ((2 + symbol % 2) << extra) + 1 + bits.take(extra);
}

void inflate_block(Bits& bits, const Codes& codes, std::vector<unsigned char>& out, std::size_t size) {
  constexpr unsigned end_of_block = 256;
  for (;;) {
    const unsigned symbol = codes.literals.next(bits);
    if (symbol == end_of_block) return;
    if (bits.overrun()) damaged();
    if (symbol < end_of_block) {
      if (out.size() == size) damaged();
      out.push_back(static_cast<unsigned char>(symbol));
      continue;
    }
    if (symbol > 285) damaged();
    const std::size_t length = match_length(symbol - 257, bits);
    const unsigned distance_symbol = codes.distances.next(bits);
    if (distance_symbol > 29) damaged();
    const std::size_t distance = match_distance(distance_symbol, bits);
    if (distance > out.size() || length > size - out.size()) damaged();
    for (std::size_t i = 0; i < length; i++) out.push_back(out[out.size() - distance]);  // both may overlap
  }
}

void copy_stored_block(Bits& bits, std::vector<unsigned char>& out, std::size_t size) {
  bits.skip_to_byte();
  const unsigned length = bits.take(16), complement = bits.take(16);
  if ((length ^ complement) != 0xffff || length > size - out.size()) damaged();
  for (unsigned i = 0; i < length; i++) out.push_back(static_cast<unsigned char>(bits.take(8)));
}

}  // namespace

std::vector<unsigned char> inflate(std::span<const unsigned char> packed, std::size_t size) {
  Bits bits(packed);
  std::vector<unsigned char> out;
  out.reserve(size);
  for (bool last = false; !last;) {
    last = bits.take(1) != 0;
    switch (bits.take(2)) {
      case 0: copy_stored_block(bits, out, size); break;
      case 1: inflate_block(bits, fixed_codes(), out, size); break;
      case 2: inflate_block(bits, read_codes(bits), out, size); break;
      default: damaged();
    }
    if (bits.overrun()) damaged();
  }
  if (out.size() != size) damaged();
  return out;
}

}  // namespace flow::cuda
